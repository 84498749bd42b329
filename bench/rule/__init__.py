"""`rule`: a small keyed rule with state, on our stream and on its peers (`bench.rule.rule` says what it is)."""
