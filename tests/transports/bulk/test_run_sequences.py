"""Any sequence of runs over one output, which fail and stop anywhere, against a model of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from moondream_transports.bulk import Item, OutputFormat
from tests.transports.bulk.runs import Answers, Step, items, read, run, whole

COUNT = 8
NUMBERS = st.integers(0, COUNT - 1)


class OneRun(NamedTuple):
    """Which items there are, which fail, at which the program or the input fails."""

    items: list[int]
    failing: set[int]
    retry_failed: bool
    limit: int | None
    mistake: int | None
    concurrent: int


RUNS = st.builds(
    OneRun,
    st.lists(NUMBERS, unique=True),
    st.sets(NUMBERS),
    st.booleans(),
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.integers(1, 3),
)


def expected(run: OneRun, ledger: dict[str, str | None]) -> list[str]:
    """Return what a run asks, in order, until the item that it does not survive."""
    names = [str(number) for number in run.items]
    if run.mistake is not None and run.mistake in run.items:
        names = names[: run.items.index(run.mistake)]
    todo = [
        name for name in names if name not in ledger or (run.retry_failed and ledger[name] is None)
    ]
    return todo if run.limit is None else todo[: run.limit]


@settings(max_examples=10)
@given(st.lists(RUNS, min_size=2, max_size=5), st.integers(1, 4) | st.none())
def test_each_item_is_asked_once_and_is_in_the_output_once(
    runs: list[OneRun], rows_per_shard: int | None
) -> None:
    ledger: dict[str, str | None] = {}  # the answers by id, in the order of first commits
    with TemporaryDirectory() as folder:
        output = Path(folder) / ("shards" if rows_per_shard else "one.jsonl")
        for number, one in enumerate(runs):

            def answer(question: str, one: OneRun = one, number: int = number) -> Step:
                return 500 if int(question) in one.failing else whole(f"{question} in {number}")

            def all_items(one: OneRun = one) -> Iterator[Item]:
                for item in items(*one.items):
                    if item.id == str(one.mistake):
                        raise ZeroDivisionError
                    yield item

            transport, asked = Answers(answer), expected(one, ledger)
            stops_early = one.limit is not None and len(asked) == one.limit
            try:
                run(
                    transport,
                    all_items(),
                    output,
                    format=OutputFormat.JSON_LINES,
                    rows_per_shard=rows_per_shard or 10_000,
                    concurrent=one.concurrent,
                    limit=one.limit,
                    retry_failed=one.retry_failed,
                )
            except ZeroDivisionError:
                assert not stops_early
            else:
                assert stops_early or one.mistake not in one.items
            assert sorted(transport.asked) == sorted(asked)
            ledger |= {
                name: None if int(name) in one.failing else f"{name} in {number}" for name in asked
            }
            files = sorted(output.glob("part-*")) if rows_per_shard else [output]
            rows = [] if not ledger else read(*files)
            assert {row["id"]: row["answer"] for row in rows} == ledger
            assert len(rows) == len(ledger)
            if rows_per_shard:
                sizes = [len(read(file)) for file in files]
                assert all(size == rows_per_shard for size in sizes[:-1])
