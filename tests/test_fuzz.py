"""The fuzzers' own checks, without a fuzzer: on the seeds, and for a few seconds on cases made up
at random. `make fuzz` does more.
"""

import random
import time
from pathlib import Path

import pytest

from fuzz import harness, http_reference, make_corpus, reference
from sansio_moondream import LimitExceeded, Limits, TextDelta, Unknown

FUZZ = Path(harness.__file__).resolve().parent
SECONDS = 2.5
SEEDS = sorted(path for path in (FUZZ / "corpus").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_seed_comes_to_what_it_should(path):
    harness.HARNESSES[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", harness.HARNESSES)
def test_cases_made_up_at_random(name):
    rng = random.Random(f"{name} 1")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        data = harness.made_up(name, rng)
        try:
            harness.HARNESSES[name](data)
        except Exception as error:
            raise AssertionError(
                f"harness.HARNESSES[{name!r}](bytes.fromhex({data.hex()!r})) failed"
            ) from error


@pytest.mark.parametrize("name", harness.HARNESSES)
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\xff" * 40, bytes(range(256))], ids=["empty", "one", "ones", "all"]
)
def test_any_bytes_are_a_case(name, data):
    harness.HARNESSES[name](data)
    for seed in range(20):
        harness.HARNESSES[name](harness.mutate(name, data, seed))


def test_the_seeds_are_those_that_make_corpus_makes(tmp_path):
    make_corpus.make(tmp_path)
    made = {
        path.relative_to(tmp_path): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert made == {path.relative_to(FUZZ / "corpus"): path.read_bytes() for path in SEEDS}, (
        "run fuzz/make_corpus.py"
    )


# The reference is what everything is held against. So it is held against the standard's own
# examples, and against some plain cases.


@pytest.mark.parametrize(
    ("stream", "records"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [b"first event", b"second event", b" third event"],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
    ],
    ids=["one", "comment, id, spaces", "empty", "the same twice"],
)
def test_the_reference_reads_the_standards_examples(stream, records):
    for ends in (b"\n", b"\r", b"\r\n"):
        read = reference.records_of(stream.replace(b"\n", ends), 1000)
        assert [record.data for record in read.whole] == records


def test_the_reference_says_when_records_are_due():
    assert [
        record.due for record in reference.records_of(b"data: a\r\n\r\ndata: b\n\n", 1000).whole
    ] == [10, 20]


def test_the_reference_has_limits():
    assert reference.records_of(b"data: abc\n\n", 9).too_long is None
    assert reference.records_of(b"data: abc\n\n", 8).too_long == 9
    assert reference.records_of(b"data:a\ndata:b\n\n", 6).too_long is None
    assert reference.records_of(b"data\n" * 6 + b"\n", 4).too_long == 30


def test_the_reference_joins_halves_of_a_character():
    body = (
        b'data: {"chunk": "\\ud83c"}\n\ndata: {"chunk": "\\udf19"}\n\ndata: {"more": "\\ud83c"}\n\n'
    )
    expected = reference.expect("query", body)
    assert expected.events == [TextDelta("\U0001f319"), Unknown({"more": "\ufffd"})]
    assert reference.expect("query", body, limits=Limits(max_text_bytes=3)).error is LimitExceeded


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("raw", "eof", "comes_to"),
    [
        # The example of RFC 9112, section 7.1, with an extension and a trailer field.
        (
            OK
            + b"Transfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n7;a=b\r\npedia i\r\n0\r\nA: b\r\n\r\n",
            False,
            (b"Wikipedia i", "finished", True),
        ),
        (OK + b"Content-Length: 4\r\n\r\nmoonX", False, (b"moon", "finished", False)),
        (OK + b"Content-Length: 4\r\n\r\nmoo", True, (b"moo", "lost", False)),
        (OK + b"\r\nmoon", True, (b"moon", "finished", False)),
        (OK + b"\r\nmoon", False, (b"moon", "waiting", False)),
        (
            b"HTTP/1.1 103 Hints\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
            False,
            (b"", "finished", True),
        ),
        (
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            False,
            (b"", "refused", False),
        ),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabX", False, (b"ab", "refused", False)),
        (OK[:-2], True, (b"", "lost", False)),
        (b"\x15\x03", False, (b"", "refused", False)),
    ],
    ids=[
        "chunks",
        "length",
        "short",
        "until close",
        "not closed",
        "early head",
        "both",
        "no footer",
        "half a head",
        "TLS",
    ],
)
def test_the_reference_reads_http(raw, eof, comes_to):
    response = http_reference.expect(raw, eof, 1000)
    assert (response.body, response.end, response.reusable) == comes_to
    limit = raw.rindex(b"\r\n\r\n") + 4 if b"\r\n\r\n" in raw else len(raw)
    if response.status is not None and response.end != "refused":
        assert http_reference.expect(raw, eof, limit) == response
        assert http_reference.expect(raw, eof, 18).end == "refused"
