"""A bulk run on a cluster of three nodes, whose nodes and program are killed while it runs."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from msgspec.json import decode

from moondream_tools._request_log import LoggedRequest
from moondream_transports.bulk import Item, Template
from moondream_transports.bulk.ray import limiter_name
from sansio_moondream import Endpoint
from sansio_moondream.limiter import RateLimit
from tests.core.limiters import windows_are_kept
from tests.guides import BLOCK, ROOT
from tests.helpers import PIXEL
from tests.tools.programs import Program, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8"),
    pytest.mark.skipif(util.find_spec("ray") is None, reason="needs Ray: `make ci-tools`"),
]

ITEMS = 5_000
LIMIT = RateLimit(200, 200)
ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
PAGE_ENVIRONMENT = {"RAY_DATA_PARQUET_FOOTER_NUM_ACTORS": "1"}  # as the page says
FAULTS = ("close:1%", "500:0.9%", "429:0.1%")  # a 429 pauses the run, and costs it 3 seconds
STARTS = 3  # Ray gives up on a node whose processes a busy machine does not start in 15 seconds
TIMES = {"seconds", "finished_at", "request_id"} | {
    f"{part}_seconds" for part in ("first_token", "prefill", "decode", "server")
}


class Cluster:
    """The program of `ray_cluster.py`."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process = process
        self.address = address

    def __call__(self, *command: object) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(*command, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, command
        return json.loads(line)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    command = [sys.executable, "-m", "tests.tools.ray_cluster"]
    for _ in range(STARTS):
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as process:
            assert process.stdout is not None
            if line := process.stdout.readline():
                yield Cluster(process, json.loads(line))
                return
    pytest.fail(f"the cluster did not start {STARTS} times")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "question"])
        rows.writerows([f"q{number:04}", f"What is {number}?"] for number in range(ITEMS))
    return path


@contextmanager
def server(log: Path, latency: float, faults: Sequence[str] = FAULTS) -> Iterator[Program]:
    rates = [argument for rate in faults for argument in ("--fault", rate)]
    arguments = ["--speed", "max", "--latency", latency, "--retry-after", 1, "--log", log, *rates]
    with running("serve", *arguments) as program:
        yield program


def command(table: Path, url: str, output: Path, *others: object) -> list[str]:
    return [
        *(sys.executable, "-m", "moondream_tools.cli", "bulk", "query", str(table)),
        *("--no-pictures", "--endpoint", url, "--output", str(output), *map(str, others)),
    ]


def rows_of(output: Path) -> list[dict[str, Any]]:
    files = sorted(output.glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


def read_log(path: Path) -> list[LoggedRequest]:
    lines = [decode(line, type=LoggedRequest) for line in path.read_bytes().splitlines()]
    return sorted(lines, key=lambda line: line.time)


def wait_for(log: Path, lines: int, process: subprocess.Popen[Any], deadline: float) -> None:
    """Wait until a file is there, and has so many lines, one for each answer of a server."""
    while not log.exists() or log.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, f"the run ended before {lines} requests"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def test_the_rows_are_those_of_one_machine(
    cluster: Cluster, questions: Path, tmp_path: Path
) -> None:
    table = tmp_path / "some.csv"
    some = questions.read_text().splitlines(keepends=True)[:400]
    table.write_text("".join([*some, "without a question,\r\n"]))
    found: dict[str, list[dict[str, Any]]] = {}
    for name, others in (("one", ()), ("ray", ("--via", f"ray={cluster.address}"))):
        with server(tmp_path / f"{name}.jsonl", 0.01, ("close:4%", "500:3%")) as serving:
            run = command(Path(table.name), serving.url, Path(name), *others)
            ended = subprocess.run(run, cwd=tmp_path, env=ENVIRONMENT, timeout=200)
        assert ended.returncode == 6
        rows = rows_of(tmp_path / name)
        found[name] = [{k: v for k, v in row.items() if k not in TIMES} for row in rows]
    assert len(found["one"]) == 400
    assert {row["error_class"] for row in found["one"]} == {None, "ConnectionLost", "ValueError"}
    assert found["ray"] == found["one"]
    schemas = {pq.read_schema(next((tmp_path / name).glob("*.parquet"))) for name in found}
    assert len(schemas) == 1


def test_a_run_that_cannot_succeed_and_a_second_one(
    cluster: Cluster, questions: Path, tmp_path: Path
) -> None:
    output, via = tmp_path / "out", ("--via", f"ray={cluster.address}")
    with server(tmp_path / "log.jsonl", 2.0, ("401:100%",)) as serving:
        run = command(questions, serving.url, output, *via, "--concurrent", 4)
        with subprocess.Popen(run, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as first:
            wait_for(output / "_run.json", 0, first, time.monotonic() + 100)
            large = [*run, "--actors", "20-20"]
            second = subprocess.run(large, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
            _, errors = first.communicate(timeout=200)
    assert (first.returncode, rows_of(output)) == (3, []), errors
    assert "refused: " in errors and "MOONDREAM_API_KEY" in errors.splitlines()[-1]
    assert second.returncode == 2
    assert f"another run uses the output {output}" in second.stderr
    assert "the cluster has 9 CPUs, and the run stands still until it has 12" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_programs_of_the_page_run(cluster: Cluster, tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "cluster.md"
    pictures = {"id": ["a", "b", "c"], "picture": [PIXEL.data] * 3}
    pq.write_table(pa.table(pictures), tmp_path / "photos.parquet")
    with server(tmp_path / "log.jsonl", 0.01, faults=()) as serving:
        code = "\n".join(code for kind, code in BLOCK.findall(page.read_text()) if kind == "python")
        done = subprocess.run(
            [sys.executable, "-c", code.replace("localhost:2020", serving.origin[7:])],
            cwd=tmp_path,
            env={**ENVIRONMENT, **PAGE_ENVIRONMENT, "RAY_ADDRESS": cluster.address},
            stdout=subprocess.PIPE,
            text=True,
            timeout=200,
        )
    assert done.returncode == 0
    assert "3 answers in 1 files\n" in done.stdout
    assert "3 answers\n" in done.stdout


# The last: it leaves two nodes of three.
def test_nodes_the_limiter_and_the_program_are_killed(
    cluster: Cluster, questions: Path, tmp_path: Path
) -> None:
    log, output, summary = tmp_path / "log.jsonl", tmp_path / "out", tmp_path / "summary.json"
    with server(log, 0.1) as serving:
        name = limiter_name(Endpoint(serving.url), LIMIT, 0.25)
        there = cluster("limiter", name, LIMIT.per_second, LIMIT.burst)
        other = 3 - there  # of 1 and 2, as node 0 cannot be killed
        run = command(
            *(questions, serving.url, output, "--via", f"ray={cluster.address}"),
            *("--actors", "2-4", "--rate", LIMIT.per_second, "--burst", LIMIT.burst),
            *("--rows-per-shard", 100, "--summary", summary),
        )
        deadline = time.monotonic() + 400
        with subprocess.Popen(run, env=ENVIRONMENT) as process:
            try:
                wait_for(log, 1000, process, deadline)
                cluster("kill", other)
                cluster("add", other)
                wait_for(log, 2200, process, deadline)
                assert cluster("where", name) == there
                cluster("kill", there)
                wait_for(log, 3600, process, deadline)
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        written = len(rows_of(output))
        ended = subprocess.run(run, env=ENVIRONMENT, timeout=deadline - time.monotonic())
    counts = json.loads(summary.read_text())
    rows, lines = rows_of(output), read_log(log)
    assert [row["id"] for row in rows] == [f"q{number:04}" for number in range(ITEMS)]
    assert windows_are_kept(LIMIT, [line.time for line in lines])
    # What was asked twice was in flight at one of the three kills, in batches of 100.
    assert len(lines) < ITEMS * 1.02 + 3 * 4 * 2 * 100
    assert 0 < counts["skipped"] <= written < ITEMS
    assert counts["skipped"] + counts["done"] + counts["failed"] == counts["total"] == ITEMS
    assert ended.returncode == (6 if counts["failed"] + counts["failed_before"] else 0)
    check_outcomes(rows, lines, serving.url)


def check_outcomes(rows: list[dict[str, Any]], lines: list[LoggedRequest], url: str) -> None:
    """Check that each row is one of the ends of its item that the server's log has."""
    ends: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        ends[line.sha256].add(line.fault or line.ended)
    template, endpoint = Template("query"), Endpoint(url)
    for row in rows:
        item = Item(row["id"], fields={"question": f"What is {int(row['id'][1:])}?"})
        body = template.request(item).to_http(endpoint, False).body
        seen = ends[hashlib.sha256(body).hexdigest()]
        expected = "complete" if row["status"] == "done" else "close"
        assert expected in seen, (row, seen)
        assert row["error_class"] in (None, "ConnectionLost"), row
