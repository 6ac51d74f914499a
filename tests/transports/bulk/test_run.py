"""A run over all items: what is asked, what is in the files, and how it goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from moondream_transports import AsyncClient, EndpointPool, Limiter, RetryPolicy
from moondream_transports.bulk import Counts, Item, OutputFormat, Summary, Template, run_bulk
from sansio_moondream import ConnectionLost, Endpoint
from sansio_moondream.limiter import RateLimit
from tests.helpers import PIXEL
from tests.transports.bulk.runs import (
    TEMPLATE,
    Answers,
    Gate,
    Step,
    answers,
    echo,
    items,
    read,
    run,
    run_with,
    wait_until,
    whole,
)

JSON = OutputFormat.JSON_LINES


def test_all_items_are_asked_and_are_in_the_file(tmp_path: Path) -> None:
    output = tmp_path / "new" / "answers.jsonl"
    transport = Answers(lambda question: whole(question, metrics={"input_tokens": 700}))
    summary = run(transport, items(*range(40)), output, total=40)
    assert answers(output) == {str(n): str(n) for n in range(40)}
    assert sorted(transport.asked) == sorted(map(str, range(40)))
    assert summary.counts == Counts(total=40, done=40, input_tokens=28_000)
    assert summary.files == (output,)
    assert summary.ledger == tmp_path / "new" / "answers.jsonl.ledger"
    assert not summary.interrupted
    assert {file.name for file in output.parent.iterdir()} == {output.name, summary.ledger.name}


def test_a_folder_has_shards_of_so_many_rows(tmp_path: Path) -> None:
    summary = run(Answers(), items(*range(7)), tmp_path, format=JSON, rows_per_shard=3)
    assert [len(read(file)) for file in summary.files] == [3, 3, 1]
    assert [file.name for file in summary.files] == [f"part-0000{n}.jsonl" for n in range(3)]
    assert answers(*summary.files) == {str(n): f"about {n}" for n in range(7)}


def test_a_shard_is_written_when_it_is_full(tmp_path: Path) -> None:
    first = tmp_path / "part-00000.jsonl"

    async def answer(question: str) -> Step:
        if question == "last":
            await wait_until(first.exists)
        return echo(question)

    given = items(*range(5), "last")
    summary = run(Answers(answer), given, tmp_path, format=JSON, rows_per_shard=5, concurrent=2)
    assert [len(read(file)) for file in summary.files] == [5, 1]


def test_what_is_in_the_ledger_is_not_asked_again(tmp_path: Path) -> None:
    first, second = Answers(), Answers()
    run(first, items(*range(10)), tmp_path / "a.jsonl", limit=6)
    assert len(first.asked) == 6
    summary = run(second, items(*range(10)), tmp_path / "a.jsonl")
    assert (summary.counts.skipped, summary.counts.done) == (6, 4)
    assert sorted(first.asked + second.asked) == sorted(map(str, range(10)))
    assert answers(tmp_path / "a.jsonl") == {str(n): f"about {n}" for n in range(10)}
    third = Answers()
    assert run(third, items(*range(10)), tmp_path / "a.jsonl").counts.skipped == 10
    assert not third.asked


def test_another_question_or_model_is_another_row(tmp_path: Path) -> None:
    output = tmp_path / "a.jsonl"
    for template in (Template("query", question="a"), Template("query", question="b")):
        run(Answers(), items(1), output, template=template)
    run(Answers(), items(1), output, template=Template("query", question="a", model="m"))
    assert [row["answer"] for row in read(output)] == ["about a", "about b", "about a"]
    assert [row["model"] for row in read(output)] == [None, None, "m"]


@pytest.mark.parametrize(("models", "known_as"), [(["m", "m"], "m"), (["m", "n"], None)])
def test_the_model_of_an_endpoint_counts_as_well(
    tmp_path: Path, models: list[str], known_as: str | None
) -> None:
    endpoints = [Endpoint(f"http://localhost:{n}/v1", model=m) for n, m in enumerate(models, 1)]
    pool = EndpointPool([(endpoint, RateLimit(concurrent=2)) for endpoint in endpoints])
    run_with(AsyncClient(Answers(), pool), items(1), TEMPLATE, tmp_path / "a.jsonl")
    client = AsyncClient(Answers(), endpoints[0])
    again = run_with(client, items(1), TEMPLATE, tmp_path / "a.jsonl")
    assert read(tmp_path / "a.jsonl")[0]["model"] == known_as
    assert again.counts.skipped == (known_as == "m")


def test_as_many_items_are_asked_at_once_as_the_limiter_lets(tmp_path: Path) -> None:
    gate = Gate()
    client = AsyncClient(Answers(gate), limiter=Limiter(concurrent=20))
    arguments = (client, items(*range(20)), TEMPLATE, tmp_path / "a.jsonl")
    thread = threading.Thread(target=run_with, args=arguments)
    thread.start()
    gate.wait_for(20)
    gate.opened.set()
    thread.join()
    assert len(answers(tmp_path / "a.jsonl")) == 20


def test_a_failed_item_stops_nothing_and_is_a_row(tmp_path: Path) -> None:
    def answer(question: str) -> Step:
        faults: dict[str, Step] = {"1": 429, "2": ConnectionLost("broken")}
        return faults.get(question, whole(question))

    template = Template("query", question="{id}")
    given = [*items(*range(5)), Item("no file", tmp_path / "no"), Item("bad", b"none")]
    summary = run(Answers(answer), given, tmp_path / "a.jsonl", template=template)
    rows = {row["id"]: row for row in read(tmp_path / "a.jsonl")}
    failed = {name: row for name, row in rows.items() if row["status"] == "failed"}
    assert {name: row["error_class"] for name, row in failed.items()} == {
        "1": "RateLimitError",
        "2": "ConnectionLost",
        "no file": "FileNotFoundError",
        "bad": "ValueError",
    }
    assert {name: row["attempts"] for name, row in failed.items()} == {
        "1": 1,
        "2": 1,
        "no file": 0,
        "bad": 0,
    }
    assert str(tmp_path / "no") in rows["no file"]["error_message"]
    assert summary.counts.done == 3
    assert summary.counts.failed == 4
    assert summary.counts.failures == dict.fromkeys(
        ["RateLimitError", "ConnectionLost", "FileNotFoundError", "ValueError"], 1
    )


def test_failed_items_are_asked_again_only_if_that_is_wanted(tmp_path: Path) -> None:
    output = tmp_path / "a.jsonl"
    run(
        Answers(lambda question: 503 if question in "246" else whole("x")), items(*range(7)), output
    )
    before = [row["id"] for row in read(output)]
    without = run(Answers(), items(*range(7)), output)
    assert (without.counts.skipped, without.counts.done) == (7, 0)
    transport = Answers(lambda question: 503 if question == "4" else whole("y"))
    again = run(transport, items(*range(7)), output, retry_failed=True)
    assert sorted(transport.asked) == ["2", "4", "6"]
    assert (again.counts.skipped, again.counts.done, again.counts.failed) == (4, 2, 1)
    assert [row["id"] for row in read(output)] == before
    assert {row["id"]: row["answer"] for row in read(output)} == {
        n: {"2": "y", "6": "y", "4": None}.get(n, "x") for n in before
    }


def test_the_client_decides_about_retries(tmp_path: Path) -> None:
    steps: Iterator[Step] = iter([503, 503, whole("at last")])
    policy = RetryPolicy(max_attempts=3, initial_backoff=0.001)
    run(Answers(lambda _: next(steps)), items(1), tmp_path / "a.jsonl", retries=policy)
    (row,) = read(tmp_path / "a.jsonl")
    assert (row["answer"], row["attempts"]) == ("at last", 3)


def test_an_incomplete_answer_is_failed_and_its_partial_is_kept(tmp_path: Path) -> None:
    body = b'data: {"chunk": "The mo"}\n\n'
    transport = Answers(lambda _: body, [("Content-Type", "text/event-stream")])
    summary = run(transport, items(1), tmp_path / "a.jsonl", stream=True)
    (row,) = read(tmp_path / "a.jsonl")
    assert (row["status"], row["answer"], row["partial"]) == ("failed", "The mo", True)
    assert summary.counts.failures == {"IncompleteStream": 1}


@pytest.mark.parametrize("limit", [0, 1, 4, 5])
def test_a_limit_counts_what_is_asked(tmp_path: Path, limit: int) -> None:
    taken: list[Item] = []

    def given() -> Any:
        for item in items(*range(5)):
            taken.append(item)
            yield item

    run(Answers(), items(0), tmp_path / "a.jsonl")
    summary = run(Answers(), given(), tmp_path / "a.jsonl", limit=limit)
    assert summary.counts.done == min(limit, 4)
    assert not summary.interrupted
    assert len(taken) == (min(limit + 1, 5) if limit else 0)  # nothing behind the last one


def test_the_counts_are_reported_at_the_beginning_and_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    gate = Gate()

    def note(counts: Counts) -> None:
        seen.append((counts.done, counts.in_flight))
        assert threading.current_thread() is threading.main_thread()

    gate.opened.set()
    summary = run(Answers(gate), items(*range(50)), tmp_path / "a.jsonl", on_progress=note)
    assert seen[0] == (0, 0)
    assert seen[-1] == (50, 0)
    assert len(seen) <= 2 + summary.seconds / 0.2 + 1


def test_an_id_that_comes_twice_is_asked_once_and_counted(tmp_path: Path) -> None:
    output, given = tmp_path / "a.jsonl", items(0, 1, 2, 3, 2, 4, 2, 3)
    transport = Answers(lambda question: 500 if question == "3" else echo(question))
    for retry_failed in (False, False, True):  # the ledger lacks them, and then has them
        counts = run(transport, given, output, retry_failed=retry_failed).counts
        assert (counts.duplicates, counts.duplicate_ids) == (3, ["2", "2", "3"])
        assert counts.skipped + counts.done + counts.failed == 5
    assert sorted(transport.asked) == ["0", "1", "2", "3", "3", "4"]
    assert len(read(output)) == 5


def test_the_first_duplicates_are_named(tmp_path: Path) -> None:
    counts = run(Answers(), items(*range(9)) * 2, tmp_path / "a.jsonl").counts
    assert (counts.duplicates, counts.duplicate_ids) == (9, list("01234"))


def test_an_id_with_two_questions_is_two_rows(tmp_path: Path) -> None:
    given = [Item("a", fields={"question": question}) for question in ("one", "two")]
    run(Answers(), given, tmp_path / "a.jsonl")
    assert sorted(row["answer"] for row in read(tmp_path / "a.jsonl")) == ["about one", "about two"]


def test_a_run_on_trio(tmp_path: Path) -> None:
    picture = tmp_path / "a.gif"
    picture.write_bytes(PIXEL.data)

    async def main() -> Summary:
        given = [Item(str(number), picture) for number in range(9)]
        return await run_bulk(AsyncClient(Answers()), given, TEMPLATE, tmp_path / "a.jsonl")

    assert trio.run(main).counts.done == 9
    assert len(answers(tmp_path / "a.jsonl")) == 9


def test_a_slow_input_does_not_delay_the_items_before_it(tmp_path: Path) -> None:
    transport = Answers()

    def given() -> Iterator[Item]:
        for number in range(4):
            yield Item(str(number))
            asyncio.run(wait_until(lambda: transport.asked[-1:] == [str(number)]))  # noqa: B023

    assert run(transport, given(), tmp_path / "a.jsonl").counts.done == 4


@pytest.mark.parametrize("options", [{}, {"limit": 2}, {"stop": True}])
def test_the_iterator_of_the_items_is_closed(tmp_path: Path, options: dict[str, Any]) -> None:
    stop, closed = threading.Event(), threading.Event()

    def given() -> Iterator[Item]:
        try:
            yield from items(1, 2)
            if "stop" in options:
                stop.set()
                yield from items(3)
        finally:
            closed.set()

    iterator = given()
    run(Answers(), iterator, tmp_path / "a.jsonl", **options | {"stop": stop})
    assert closed.is_set()
    assert not list(iterator)
