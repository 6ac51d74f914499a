"""A bulk run on Ray Data, on this machine, as a program."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]

from moondream_tools import FakeServer

ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}

with tempfile.TemporaryDirectory() as folder, FakeServer() as server:
    server.answer(text="A moon.", times=3)
    Path(folder, "in.csv").write_text("id,question\na,What?\nb,What?\nc,What?\n")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("moondream-stream"), "bulk", "query", "in.csv"),
            *("--no-pictures", "--via", "ray", "--output", "out", "--endpoint", server.url),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    [file] = Path(folder, "out").glob("*.parquet")
    answers = pq.read_table(file).to_pydict()
    assert sorted(answers["id"]) == ["a", "b", "c"]
    assert answers["answer"] == ["A moon."] * 3, answers
