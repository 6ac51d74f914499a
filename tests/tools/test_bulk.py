"""`moondream-stream bulk` in this process: its output, words and exit statuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from moondream_tools import FakeServer
from moondream_tools.cli import Exit
from sansio_moondream import (
    BBox,
    Metadata,
    Metrics,
    QueryRequest,
    QueryResult,
    Settings,
)
from tests.helpers import PIXEL


@pytest.fixture
def bulk(run: Any, fake: FakeServer, photos: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run `bulk query` over the pictures, with an output in JSON lines."""

    def run_bulk(*options: Any) -> Any:
        question = ["--question", "What is {id}?"]
        output = ["--output", tmp_path / "out.jsonl", "--endpoint", fake.url, "--concurrent", "1"]
        return run("bulk", "query", photos, *question, *output, *options)

    return run_bulk


def asked(fake: FakeServer) -> list[QueryRequest]:
    """The questions that came, in order."""
    requests = [received.request for received in fake.received]
    return [request for request in requests if isinstance(request, QueryRequest)]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestARun:
    def test_all_done(self, bulk: Any, fake: FakeServer, tmp_path: Path) -> None:
        fake.answer(text="A moon.", times=3)
        ran = bulk("--model", "m", "--max-tokens", "9", "--summary", "-")
        assert ran.status == Exit.OK, ran.err
        answers = rows(tmp_path / "out.jsonl")
        assert [(row["id"], row["status"], row["answer"]) for row in answers] == [
            (f"{name}.gif", "done", "A moon.") for name in "abc"
        ]
        assert [request.question for request in asked(fake)] == [
            f"What is {name}.gif?" for name in "abc"
        ]
        assert not fake.received[0].stream
        first = asked(fake)[0]
        assert (first.model, first.settings) == ("m", Settings(max_tokens=9))
        summary = json.loads(ran.out)
        assert summary.pop("seconds") > 0
        assert summary.pop("per_second") > 0
        assert summary == {
            "total": 3,
            "done": 3,
            "failed": 0,
            "skipped": 0,
            "failed_before": 0,
            "duplicates": 0,
            "duplicate_ids": [],
            "failures": {},
            "examples": {},
            "input_tokens": 0,
            "output_tokens": 0,
            "interrupted": False,
            "files": [str(tmp_path / "out.jsonl")],
            "ledger": str(tmp_path / "out.jsonl.ledger"),
        }
        assert "moondream-stream: 3 done, 0 failed of 3; in " in ran.err
        assert f"the answers are in {tmp_path / 'out.jsonl'}\n" in ran.err
        assert "--retry-failed" not in ran.err
        assert "Traceback" not in ran.err

    def test_a_limit_then_the_rest(self, bulk: Any, fake: FakeServer, tmp_path: Path) -> None:
        fake.answer(text="A moon.", times=3)
        ran = bulk("--limit", "2")
        assert (ran.status, ran.out) == (Exit.OK, "")
        assert "2 done, 0 failed of 3" in ran.err
        assert "--limit ended this run. To go on, run the same command again" in ran.err
        ran = bulk("--limit", "2", "--stream")
        assert (ran.status, fake.received[-1].stream) == (Exit.OK, True)
        assert "1 done, 0 failed, 2 done before of 3" in ran.err
        assert "--limit" not in ran.err
        assert len(rows(tmp_path / "out.jsonl")) == len(fake.received) == 3

    def test_some_failed(self, bulk: Any, fake: FakeServer, photos: Path, tmp_path: Path) -> None:
        (photos / "b.gif").write_text("no picture")
        fake.answer(text="A moon.")
        fake.answer(text="A moon.", fault="truncate")
        summary = tmp_path / "summary.json"
        ran = bulk("--summary", summary)
        assert (ran.status, ran.out) == (Exit.SOME_FAILED, "")
        assert "1 done, 2 failed of 3" in ran.err
        assert "run the same command with --retry-failed" in ran.err
        assert "\nmoondream-stream: ValueError: b.gif: " in ran.err
        failures = json.loads(summary.read_text())["failures"]
        assert failures.pop("ValueError") == 1
        assert list(failures.values()) == [1]
        # What failed stays failed, and a run that skips it says so.
        ran = bulk()
        assert ran.status == Exit.SOME_FAILED
        assert "0 done, 0 failed, 1 done before, 2 failed before of 3" in ran.err
        (photos / "b.gif").write_bytes(PIXEL.data)
        fake.answer(text="A moon.", times=2)
        ran = bulk("--retry-failed")
        assert ran.status == Exit.OK, ran.err
        assert {row["answer"] for row in rows(tmp_path / "out.jsonl")} == {"A moon."}

    def test_masks_in_shards(
        self, run: Any, fake: FakeServer, photos: Path, tmp_path: Path
    ) -> None:
        fake.answer(path="M0 0L1 0L1 1L0 1z", box=BBox(0, 0, 1, 1), times=3)
        output = ["--output", tmp_path / "out", "--rows-per-shard", "2", "--masks"]
        ran = run("bulk", "segment", photos, "--object", "moon", "--endpoint", fake.url, *output)
        assert ran.status == Exit.OK, ran.err
        assert f"the answers are in {tmp_path / 'out' / 'part-00000.parquet'} and 1 more" in ran.err
        shards = [parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
        assert [shard.num_rows for shard in shards] == [2, 1]
        assert shards[0]["mask"].to_pylist()[0]["size"] == [1, 1]

    def test_a_table_and_several_endpoints(
        self, run: Any, fake: FakeServer, tmp_path: Path
    ) -> None:
        table = tmp_path / "table.csv"
        table.write_text("key;question;name\n1;;moon\n2;Who?;sun\n")
        fake.answer(text="Yes.", times=None)
        with FakeServer() as other:
            other.answer(text="Yes.", times=None)
            urls = ["--endpoint", fake.url, "--endpoint", other.url]
            options = ["--id-column", "key", "--no-pictures", "--question", "Is {name} round?"]
            output = tmp_path / "out.csv"
            ran = run("bulk", "query", table, *urls, *options, "--output", output)
            questions = {request.question for request in [*asked(fake), *asked(other)]}
        assert ran.status == Exit.OK, ran.err
        assert questions == {"Is moon round?", "Who?"}
        with output.open(newline="") as file:
            assert {(row["id"], row["answer"]) for row in csv.DictReader(file)} == {
                ("1", "Yes."),
                ("2", "Yes."),
            }

    def test_export(self, bulk: Any, run: Any, fake: FakeServer, tmp_path: Path) -> None:
        fake.answer(text="A moon.", times=3)
        bulk()
        output = tmp_path / "again.csv"
        ran = run("bulk", "export", tmp_path / "out.jsonl.ledger", "--output", output)
        assert (ran.status, ran.out) == (Exit.OK, "")
        assert ran.err == f"moondream-stream: the answers are in {output}\n"
        with output.open(newline="") as file:
            assert [row["answer"] for row in csv.DictReader(file)] == ["A moon."] * 3

    def test_a_dry_run(self, bulk: Any, run: Any, fake: FakeServer, photos: Path) -> None:
        ran = run("bulk", "caption", photos, "--dry-run", "--price-per-request", "0.5")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert ran.out == (
            "3 items: 3 requests to send.\n"
            "At 2 requests a second, 16 at once: at least 1 second.\n"
            "About 1.50, at 0.5 a request.\n"
        )
        ran = run("bulk", "caption", photos, "--dry-run", "--rate", "none")
        assert ran.out == (
            "3 items: 3 requests to send.\n"
            "Time: give --rate, or --seconds of a request, to see it.\n"
            "Cost: give your prices, such as --price-per-request, to see it.\n"
        )
        metadata = Metadata(metrics=Metrics(700, 10, 500.0, 1500.0))
        fake.answer(result=QueryResult("A moon.", metadata=metadata), times=2)
        assert bulk("--limit", "2").status == Exit.OK
        prices = ["--price-per-million-input", "1000", "--currency", "EUR"]
        ran = bulk("--dry-run", *prices, "--output-tokens", "20", "--rate", "none")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert ran.out == (
            "3 items, of which 2 have ended before: 1 request to send.\n"
            "At 1 at once, if each takes 2 s: at least 2 seconds.\n"
            "About 700 input tokens and 20 output tokens.\n"
            "About 0.70 EUR, at 1,000 a million input tokens.\n"
        )
        assert len(fake.received) == 2

    def test_gives_up(self, bulk: Any, fake: FakeServer, tmp_path: Path) -> None:
        fake.answer(status=401, times=2)
        ran = bulk("--give-up-after", "2", "--retries", "0")
        assert ran.status == Exit.REFUSED
        assert "2 failed of 3" in ran.err
        assert "moondream-stream: refused: the server answered 401" in ran.err
        assert len(fake.received) == 2
