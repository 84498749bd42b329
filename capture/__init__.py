"""Evidence that a funder captures borrowers: pure and deterministic."""
