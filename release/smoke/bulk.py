"""A bulk run from Parquet to Parquet, as a program."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from moondream_tools import FakeServer

GIF = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

with tempfile.TemporaryDirectory() as folder, FakeServer() as server:
    server.answer(text="A moon.", times=3)
    rows = {"id": ["a", "b", "c"], "picture": [GIF] * 3}
    pq.write_table(pa.table(rows), Path(folder, "in.parquet"))
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("moondream-stream"), "bulk", "query", "in.parquet"),
            *("--question", "What is this?", "--output", "out.parquet"),
            *("--endpoint", server.url),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = pq.read_table(Path(folder, "out.parquet")).to_pydict()
    assert sorted(answers["id"]) == ["a", "b", "c"]
    assert answers["answer"] == ["A moon."] * 3, answers
