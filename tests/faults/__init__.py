"""The fault suite: what may go wrong around the workers, under load, each time with the ledger checked at the end.

`./dev faults` runs it and writes `docs/reliability.md`.
"""
