"""Benchmarks against peers and limits, by one command: `./dev bench`."""
