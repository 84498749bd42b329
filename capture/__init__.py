"""The detectors of capture and the response to it; pure and deterministic, as `rotation` is.

What comes in: outcomes re-keyed by funder, and direct signals. What goes out: a funder's place on the response
ladder with its pass rates (`funder-states`), and the evidence for each alarm (`capture-alerts`).
"""
