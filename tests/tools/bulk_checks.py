"""What has to hold after a bulk run of `bulk_show.py`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from msgspec.json import decode
from pyarrow import parquet  # type: ignore[import-untyped]

from moondream_tools._fault_rates import RatedFault
from moondream_tools._faults import HTTPFault
from moondream_tools._request_log import LoggedRequest
from moondream_tools._serve_options import Options
from moondream_transports import RetryPolicy
from moondream_transports.bulk import Item, Template
from sansio_moondream import Endpoint
from sansio_moondream.limiter import RateLimit
from tests.tools.bulk_show import CONCURRENT, LATENCY, QUESTION, RATES, Shown
from tests.tools.ideal_schedule import IdealSchedule, ideal_schedule

PATH = "/v1/query"
MAX_MEGABYTES = 300
GROWTH = 1.2  # of the memory, from the first third of a run to its end
SHARE = 0.9  # of the ideal schedule
RETRIES = RetryPolicy(max_attempts=7, max_backoff=30.0)  # of `moondream-stream bulk`
OPTIONS = Options(faults=tuple(RatedFault.parse(rate) for rate in RATES))
ERRORS = {"429": "RateLimitError", "503": "ServerError", "close": "ConnectionLost"}

Log = dict[str, list[LoggedRequest]]
"""What the server answered, by the digest of the request, in order."""


def check_killed(pictures: Path, shown: Shown) -> str:
    """Check a run that was killed. Returns how it was, in words."""
    digests, log = digests_of(pictures), read_log(shown.log)
    again = check_repeats(log, shown)
    check_outcomes(digests, log, shown)
    return f"{again} items were asked again; {check_memory(shown)}"


def check_undisturbed(pictures: Path, shown: Shown) -> str:
    """Check a run that nothing disturbed. Returns how it was, in words."""
    digests, log = digests_of(pictures), read_log(shown.log)
    check_outcomes(digests, log, shown)
    ideal = ideal_of([digest for digest in digests.values() if digest is not None])
    assert {digest: len(lines) for digest, lines in log.items()} == ideal.attempts
    check_flat(shown)
    seconds = shown.summary["seconds"]
    assert isinstance(seconds, float)
    words = f"{seconds:.1f} s, {ideal.seconds / seconds:.0%} of the ideal {ideal.seconds:.1f} s"
    assert seconds <= ideal.seconds / SHARE, words
    return f"{words}; {check_memory(shown)}"


def digests_of(pictures: Path) -> dict[str, str | None]:
    """Return the digests of the requests by item; None for what is no picture."""
    template, endpoint = Template("query", question=QUESTION), Endpoint("http://127.0.0.1/v1")
    found: dict[str, str | None] = {}
    for path in sorted(pictures.iterdir()):
        try:
            request = template.request(Item(path.name, path))
        except ValueError:
            found[path.name] = None
        else:
            body = request.to_http(endpoint, False).body
            found[path.name] = hashlib.sha256(body).hexdigest()
    assert len({*found.values()} - {None}) == sum(digest is not None for digest in found.values())
    return found


def read_log(path: Path) -> Log:
    """Read the log of the server. Its faults have to be those that are computed."""
    log: Log = defaultdict(list)
    lines = [decode(line, type=LoggedRequest) for line in path.read_bytes().splitlines()]
    for line in sorted(lines, key=lambda line: line.time):
        assert line.path == PATH, line
        log[line.sha256].append(line)
    for digest, answers in log.items():
        computed = [fault_of(digest, number + 1) for number in range(len(answers))]
        kinds = [fault and fault.kind for fault in computed]
        assert [answer.fault for answer in answers] == kinds, answers
    return log


def fault_of(digest: str, number: int) -> HTTPFault | None:
    """Return what the server does to a request that comes for the so-many-th time."""
    return OPTIONS.fault(PATH, digest, number)


def ideal_of(digests: list[str]) -> IdealSchedule:
    """Return the ideal schedule of a run."""
    limit = RateLimit(concurrent=CONCURRENT)
    return ideal_schedule(
        digests,
        concurrent=CONCURRENT,
        latency=LATENCY,
        fault=fault_of,
        limit=limit,
        retries=RETRIES,
    )


def check_outcomes(digests: dict[str, str | None], log: Log, shown: Shown) -> None:
    """Check that each item is in the output once, and ended as the server's log says."""
    rows: list[dict[str, Any]] = []
    for path in sorted(shown.output.glob("*.parquet")):
        rows += parquet.read_table(str(path)).to_pylist()
    assert sorted(row["id"] for row in rows) == sorted(digests)
    assert {*log} == {*digests.values()} - {None}
    for row in rows:
        digest = digests[row["id"]]
        if digest is None:
            assert (row["status"], row["error_class"]) == ("failed", "ValueError"), row
            continue
        *before, last = log[digest][-row["attempts"] :]  # those of the process that ended it
        assert len(before) == row["attempts"] - 1, row
        assert all(answer.fault in ("429", "503") for answer in before), row
        is_whole = (last.status, last.fault, last.ended) == (200, None, "complete")
        expected = ("done", None) if is_whole else ("failed", ERRORS.get(last.fault or ""))
        assert (row["status"], row["error_class"]) == expected, (row, last)
        assert (row["answer"] is not None) == is_whole or row["partial"], row
    failed = sum(row["status"] == "failed" for row in rows)
    assert shown.status == (6 if shown.summary["failed"] else 0), shown
    assert 0 < failed < len(rows) * 0.05, failed


def check_repeats(log: Log, shown: Shown) -> int:
    """Check that only what was in flight at a kill was asked again, once for each kill.

    Returns how many items were asked again.
    """
    again = 0
    for at, (begin, end) in enumerate(zip(shown.started, shown.started[1:], strict=False)):
        repeated = 0
        for answers in log.values():
            mine = [answer for answer in answers if begin <= _sent_at(answer) < end]
            repeated += bool(mine) and _sent_at(answers[-1]) >= end
            # A process asks about an item once. It tries again what the server did not take.
            assert all(answer.fault in ("429", "503") for answer in mine[:-1]), (at, mine)
        # Answers that had come and were not committed are as many as those in flight, at most.
        assert repeated <= 2 * CONCURRENT, (at, repeated)
        again += repeated
    return again


def _sent_at(answer: LoggedRequest) -> float:
    """Return when a request was sent, at the latest.

    The server may read a request after its client was killed, and even after the next process was
    started. It sees that the client has left. No process asks in the first half second of its life.
    """
    return answer.time - (0.5 if answer.ended == "left" else 0.0)


def check_memory(shown: Shown) -> str:
    """Check the memory of each process. Returns the most, in words."""
    peak = max(sample.peak for sample in shown.samples)
    assert peak < MAX_MEGABYTES, peak
    return f"at most {peak:.0f} MB"


def check_flat(shown: Shown) -> None:
    """Check that the memory of a run does not grow with its items."""
    end = shown.samples[-1].seconds
    early = max(sample.resident for sample in shown.samples if sample.seconds <= end / 3)
    late = max(sample.resident for sample in shown.samples)
    assert late <= early * GROWTH, (early, late)
