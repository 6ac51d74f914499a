"""`moondream-stream bulk` in this process: its output, words and exit statuses."""

from __future__ import annotations

import csv
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from moondream_tools import FakeServer
from moondream_tools._bulk_arguments import CONCURRENT, FORMATS
from moondream_tools._bulk_refusals import Refusals
from moondream_tools._bulk_signals import stop_by_signals
from moondream_tools.cli import Exit
from moondream_transports import Timeline
from moondream_transports.bulk import OutputFormat
from moondream_transports.conformance._fault_server import FaultServer, Peer
from sansio_moondream import (
    AuthenticationError,
    BBox,
    ConnectError,
    IncompleteStream,
    Metadata,
    Metrics,
    NotFoundError,
    PaymentRequiredError,
    QueryRequest,
    QueryResult,
    RateLimitError,
    Settings,
)
from tests.helpers import PIXEL


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.gif").write_bytes(PIXEL.data)
    return folder


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
        metadata = Metadata(metrics=Metrics(700, 10, 500.0, 1500.0))
        fake.answer(result=QueryResult("A moon.", metadata=metadata), times=2)
        assert bulk("--limit", "2").status == Exit.OK
        prices = ["--price-per-million-input", "1000", "--currency", "EUR"]
        ran = bulk("--dry-run", *prices, "--output-tokens", "20", "--rate", "none")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert ran.out == (
            "3 items, of which 2 are in the ledger: 1 request to send.\n"
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


class TestUsage:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["bulk"], "SKILL"),
            (["bulk", "chat"], "invalid choice"),
            (["bulk", "query"], "INPUT"),
            (["bulk", "query", "PHOTOS"], "question"),
            (["bulk", "detect", "PHOTOS", "--object", "moon {name}"], "'name'"),
            (["bulk", "caption", "PHOTOS"], "--output"),
            (["bulk", "caption", "no-such-folder"], "no-such-folder"),
            (["bulk", "caption", __file__], "test_bulk.py"),
            (["bulk", "caption", "PHOTOS", "--output", "OUT.md"], "OUT.md"),
            (["bulk", "caption", "PHOTOS", "--output", "/dev/null/out.csv"], "/dev/null"),
            (["bulk", "export", "OUT.ledger"], "--output"),
            (["bulk", "export", "OUT.ledger", "--output", "OUT.csv"], "no ledger"),
            (
                ["bulk", "caption", "PHOTOS", "--dry-run", "--price-per-million-output", "1"],
                "--price-per-million-output needs --output-tokens",
            ),
            (["bulk", "caption", "PHOTOS", "--format", "xml"], "invalid choice"),
            (["bulk", "caption", "PHOTOS", "--rate", "0"], "rate should be a number above 0, or"),
            (["bulk", "caption", "PHOTOS", "--rate", "many"], "not 'many'"),
            (["bulk", "caption", "PHOTOS", "--concurrent", "0"], "above 0"),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--burst", "3"],
                "--burst needs a --rate",
            ),
            (["bulk", "caption", "PHOTOS", "--retries", "-1"], "above 0"),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--idle-timeout", "0"],
                "idle should",
            ),
            (["bulk", "caption", "PHOTOS", "--temperature", "-1"], "temperature should be"),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--summary", "PHOTOS"],
                "is a folder",
            ),
            (
                ["bulk", "caption", "PHOTOS", "--output", "OUT.csv", "--summary", "none/here"],
                "does not exist: none",
            ),
        ],
    )
    def test_wrong(
        self, run: Any, photos: Path, tmp_path: Path, options: list[str], words: str
    ) -> None:
        given = [
            option.replace("PHOTOS", str(photos)).replace("OUT.", f"{tmp_path}/OUT.")
            for option in options
        ]
        asks = len(given) > 2 and given[1] != "export"
        endpoint = ["--endpoint", "http://localhost:1/v1"] if asks else []
        ran = run(*given, *endpoint)
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert words in ran.err
        assert not list(tmp_path.glob("OUT*"))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["query", "t.csv"], "no column with pictures"),
            (["query", "t.csv"], "Give --picture-column, or --no-pictures for questions"),
            (["query", "photos"], "needs question: give it with --question, or in a column"),
            (["caption", "t.csv", "--delimiter", "ab"], "--delimiter should be one character"),
        ],
    )
    def test_messages_name_options(
        self,
        run: Any,
        photos: Path,
        tmp_path: Path,
        options: list[str],
        words: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("t.csv").write_text("id,name\n1,picture_column\n")
        ran = run("bulk", *options, "--output", "o.csv", "--endpoint", "http://localhost:1/v1")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert words in ran.err

    def test_no_server(self, run: Any, photos: Path) -> None:
        ran = run("bulk", "caption", photos, "--output", "out.csv")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert "MOONDREAM_API_KEY" in ran.err

    def test_help_says_the_defaults(self, run: Any) -> None:
        ran = run("bulk", "segment", "--help")
        assert ran.status == Exit.OK
        words = " ".join(ran.out.split())
        assert f"in flight at once (default: {CONCURRENT})" in words
        assert "(default: 2 in the cloud, none at --endpoint)" in words
        assert "--masks" in words
        assert "6 some items failed" in words
        assert "--masks" not in run("bulk", "query", "--help").out

    def test_formats(self) -> None:
        assert list(FORMATS) == [kind.value for kind in OutputFormat]


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_first_and_the_second(self, number: signal.Signals) -> None:
        before = signal.signal(number, signal.SIG_DFL)
        try:
            stop = threading.Event()
            with stop_by_signals(stop):
                signal.raise_signal(number)
                assert stop.is_set()
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(number)
            assert signal.getsignal(number) is signal.SIG_DFL
        finally:
            signal.signal(number, before)

    @pytest.mark.usefixtures("interruptible")
    def test_the_second_one_ends_a_run(self, run: Any, photos: Path, tmp_path: Path) -> None:
        main = threading.get_ident()

        def script(peer: Peer) -> None:
            peer.read_request()
            for number in (signal.SIGINT, signal.SIGTERM):  # to the thread that handles them
                signal.pthread_kill(main, number)
            peer.wait_until_closed()

        output = tmp_path / "out.jsonl"
        with FaultServer(script) as server:
            options = ["--endpoint", server.url, "--concurrent", "1", "--output", output]
            ran = run("bulk", "caption", photos, *options)
        assert (ran.status, ran.out) == (Exit.INTERRUPTED, "")
        assert ran.err.startswith("moondream-stream: stopped at once. ")

    def test_one_that_is_ignored_stays_so(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            stop = threading.Event()
            with stop_by_signals(stop):
                signal.raise_signal(signal.SIGINT)
                assert not stop.is_set()
        finally:
            signal.signal(signal.SIGINT, before)

    def test_in_another_thread_nothing_changes(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        seen: list[Any] = []

        def work() -> None:
            with stop_by_signals(threading.Event()):
                seen.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [before]


class TestRefusals:
    @pytest.mark.parametrize(
        ("errors", "stops"),
        [
            ([AuthenticationError("key"), ConnectError("no way"), NotFoundError("page")], True),
            ([PaymentRequiredError("pay"), None, PaymentRequiredError("pay"), None], False),
            ([RateLimitError("slow"), IncompleteStream("half")] * 3, False),
            ([NotFoundError("page"), NotFoundError("page")], False),
        ],
    )
    def test_in_a_row(self, errors: list[Exception | None], stops: bool) -> None:
        stop = threading.Event()
        refusals = Refusals(3, stop)
        for error in errors:
            refusals.on_end(Timeline("query", "http://localhost", 0.0, error=error))
        assert stop.is_set() is stops
        assert refusals.given_up is (errors[-1] if stops else None)

    def test_never(self) -> None:
        stop = threading.Event()
        refusals = Refusals(0, stop)
        for _ in range(100):
            refusals.on_end(Timeline("query", "", 0.0, error=AuthenticationError("key")))
        assert not stop.is_set()
