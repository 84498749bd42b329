"""The decision core: pure and deterministic.

Everything that affects where a drawdown goes lives here. No clock, no randomness, no I/O, no logging:
time (milliseconds since the epoch, stream time) and configuration come in as arguments, and what has
to be done leaves as values.
"""
