"""Settings from the environment and the rotation configuration: model, checks, revisions."""
