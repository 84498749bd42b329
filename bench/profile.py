"""What limits our worker next: samples of its stacks while it decides, and its own time by stage."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.run import Processes, Run

_RATE = 200
_SHOWN = 30
_IDLE = "EpollSelector.select"
_STAGE = re.compile(r'loanrouter_batch_seconds_sum\{agent="route",stage="(\w+)"\} (\S+)')


class Profile:
    """Samples one measured run; use `during` as the run's companion."""

    def __init__(self, folder: Path) -> None:
        self._stacks = folder / "stacks"
        self._stages: dict[str, float] = {}

    @contextmanager
    def during(self, run: Run, processes: Processes) -> Iterator[None]:
        """Sample the engine's first process until the end of the context."""
        before = _stages(run)
        py_spy = Path(sys.executable).with_name("py-spy")
        sampler = subprocess.Popen(
            [
                py_spy,
                "record",
                "--nonblocking",  # it finds the process stopped, and must not wait for that
                "--pid",
                str(processes.children[0].pid),
                "--rate",
                str(_RATE),
                "--format",
                "raw",
                "--output",
                self._stacks,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
            after = _stages(run)
            self._stages = {stage: seconds - before.get(stage, 0.0) for stage, seconds in after.items()}
        finally:
            sampler.send_signal(2)  # it writes what it has
            sampler.wait()

    def lines(self) -> Iterator[str]:
        """The profile for a terminal."""
        own: Counter[str] = Counter()
        within: Counter[str] = Counter()
        total = 0
        for line in self._stacks.read_text().splitlines():
            stack, _, samples = line.rpartition(" ")
            functions = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
            if functions[-1].startswith(_IDLE):
                continue
            own[functions[-1]] += int(samples)
            within.update(dict.fromkeys(functions, int(samples)))
            total += int(samples)
        if stages := ", ".join(f"{stage} {spent:.2f}" for stage, spent in self._stages.items()):
            yield f"batches by stage, seconds: {stages}"
        yield f"{total} samples of running threads at {_RATE}/s"
        for title, counted in (("in the function itself", own), ("with what it calls", within)):
            yield title
            for function, number in counted.most_common(_SHOWN):
                yield f"  {number / max(total, 1):6.1%}  {function}"


def _stages(run: Run) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{run.settings.web_port}/metrics", timeout=60) as answer:
            return {stage: float(spent) for stage, spent in _STAGE.findall(answer.read().decode())}
    except urllib.error.HTTPError:
        return {}  # the rule has no pages, only the worker has
