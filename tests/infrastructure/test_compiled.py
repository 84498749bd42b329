"""The core as machine code decides like the core in Python."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: the wheel is built in pure Python")
def test_the_compiled_core_passes_the_core_s_tests(tmp_path: Path) -> None:
    """A wheel built with its hook holds machine code, with which its tests pass, golden replays and a what-if."""
    env = {**os.environ, "HATCH_BUILD_HOOK_ENABLE_MYPYC": "1"}
    subprocess.run(["uv", "build", "--quiet", "--out-dir", str(tmp_path)], cwd=ROOT, env=env, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "wheel")
    env |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": f"{tmp_path / 'wheel'}{os.pathsep}{ROOT}"}

    where = [sys.executable, "-c", "import rotation.turn; print(rotation.turn.__file__)"]
    turn = subprocess.run(where, env=env, check=True, capture_output=True, text=True).stdout
    assert turn.startswith(str(tmp_path))
    assert not turn.strip().endswith(".py")

    tests = ["tests/rotation", "tests/replay/test_golden.py", "tests/whatif/test_what_if.py"]
    command = [sys.executable, "-m", "pytest", "--import-mode=importlib", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *tests], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
