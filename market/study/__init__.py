"""The study: policies compared in process on a simulated market of strategic funders, in stream time."""
