"""Spoilt input for every parser: bounded in the suite, a million with `./dev fuzz`."""
