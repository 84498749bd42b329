"""The rule on Faust as its documentation shows it: one event at a time, a table, a topic.

python -m bench.rule.plain_faust worker -l info     (BENCH_TUNED=1: linger, uvloop)
"""

from faust.types import StreamT

from bench.faust_apps import RAW, stock_app
from bench.rule.rule import Names, decide

NAMES = Names()
app = stock_app(NAMES.settings)
borrowers = app.Table("borrowers", key_type=bytes, value_type=bytes)
decisions = app.topic(NAMES.decisions, **RAW)


@app.agent(app.topic(NAMES.requests, **RAW))
async def route(requests: StreamT[bytes]) -> None:
    """Decide one request after the other."""
    async for key, value in requests.items():
        state, decision = decide(borrowers.get(key) or b"", value)
        borrowers[key] = state
        await decisions.send(key=key, value=decision)


if __name__ == "__main__":
    app.main()
