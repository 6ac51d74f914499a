"""What an actor of a pool does with a batch, without Ray: the rows of a run on one machine."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from moondream_transports import RetryPolicy
from moondream_transports.bulk import BulkError, Item, LedgerInUse, Template
from moondream_transports.bulk._columns import Columns
from moondream_transports.bulk._encoders import arrow_schema
from moondream_transports.bulk.ray import AskBatches, Asking, count_rows
from moondream_transports.bulk.ray._output import RayOutput
from moondream_transports.bulk.ray._source import item_tables, items_of
from sansio_moondream import AuthenticationError, ConnectionLost, Endpoint
from sansio_moondream.limiter import RateLimit
from tests.helpers import PIXEL
from tests.transports.bulk.runs import Answers, Step, echo, run

ENDPOINT = Endpoint("http://localhost:2020/v1")
TIMES = ("seconds", "finished_at")
RETRIES = RetryPolicy(max_attempts=2, initial_backoff=0, jitter=0)


@contextmanager
def asker(
    answer: Callable[[str], Any], template: Template, has_items: bool = True, **others: Any
) -> Iterator[AskBatches]:
    asking = Asking(
        template=template,
        endpoint=ENDPOINT,
        retries=RETRIES,
        transport=lambda: Answers(answer),
        **others,
    )
    made = AskBatches(asking, has_items)
    try:
        yield made
    finally:
        made.close()


def table_of(items: Iterable[Item]) -> Any:
    return pa.concat_tables(item_tables(items, rows=3))


def rows_of(table: Any) -> list[dict[str, Any]]:
    """The rows, without their times, by their ids."""
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


class Forbidden:
    """It fails the test that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it was unpickled",)


def faulty(question: str) -> Step:
    """An answer, or one of the ends that an item may have."""
    match question[-1]:
        case "1":
            return 503
        case "2":
            return ConnectionLost("it broke")
        case "3":
            return b'{"request_id": "r", "answer": '
        case _:
            return echo(question)


BOX = {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}
SEGMENT = json.dumps({"request_id": "r", "path": "M 0 0 L 1 0 L 1 1 Z", "bbox": BOX}).encode()


@pytest.mark.parametrize(
    ("template", "answer", "masks"),
    [
        (Template("query", question="{id}?"), faulty, False),
        (Template("query", question="{id}?", model="moon"), lambda _: echo("x"), False),
        (Template("segment", object="the {id}"), lambda _: SEGMENT, True),
    ],
)
def test_rows_are_those_of_a_run_on_one_machine(
    tmp_path: Path, template: Template, answer: Any, masks: bool
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    picture = None if template.skill == "query" else PIXEL.data
    items = [Item(f"i{number:02}", picture) for number in range(12)]
    items += [Item("broken", broken), Item("gone", tmp_path / "gone.jpg"), Item("p", problem="bad")]
    transport = Answers(answer)
    summary = run(
        transport, items, tmp_path / "one.parquet", retries=RETRIES, template=template, masks=masks
    )
    table = table_of(items)
    with asker(answer, template, masks=masks) as ask:
        made = pa.concat_tables([ask(table.slice(0, 5)), ask(table.slice(5)), ask(table[:0])])
    alone = pq.read_table(summary.files[0])
    assert made.schema == alone.schema == arrow_schema(Columns(template.skill, masks))
    assert rows_of(made) == rows_of(alone)
    assert len(made) == len(items) == len({row["id"] for row in made.to_pylist()})
    assert {row["status"] for row in made.to_pylist()} == {"done", "failed"}


def test_a_dataset_with_columns_of_its_own() -> None:
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "image": [PIXEL.data, PIXEL.data, b""],
            "question": ["why?", None, "how?"],
            "unused": [1, 2, 3],
        }
    )
    with asker(echo, Template("query", question="what is {id}?"), has_items=False) as ask:
        rows = ask(table).to_pylist()
        assert [row["answer"] for row in rows] == ["about why?", "about what is b?", None]
        assert "the column 'image' is empty" in rows[2]["error_message"]
        with pytest.raises(ValueError, match="has no column 'id'"):
            ask(table.drop(["id"]))
        for bad in (None, " "):
            named = table.set_column(0, "id", pa.array(["a", bad, "c"]))
            with pytest.raises(ValueError, match="row 2 of its batch: the column 'id' should have"):
                ask(named)


def test_a_dataset_is_never_unpickled() -> None:
    template = Template("query", question="x")
    with asker(echo, template, has_items=False, pictures=False) as ask:
        [row] = ask(pa.table({"id": ["a"], "item": [pickle.dumps(Forbidden())]})).to_pylist()
    assert (row["id"], row["answer"]) == ("a", "about x")


def test_a_run_that_cannot_succeed_is_given_up() -> None:
    kinds = (AuthenticationError,)
    template = Template("query", question="{id}")
    with (
        asker(lambda _: 401, template, give_up_on=kinds, give_up_after=3, concurrent=1) as ask,
        pytest.raises(AuthenticationError),
    ):
        ask(table_of(Item(str(number)) for number in range(50)))


def test_a_mistake_of_a_program_ends_the_run() -> None:
    template = Template("query", question="x")
    with (
        asker(lambda _: TypeError("no such thing"), template) as ask,
        pytest.raises(TypeError, match="no such thing"),
    ):
        ask(table_of([Item("a"), Item("b")]))
    with pytest.raises(ValueError, match="only answers of segment have masks"):
        AskBatches(Asking(template=Template("caption"), endpoint=ENDPOINT, masks=True))


def test_ids_that_came_before_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    items = [Item(name, fields={"n": at}) for at, name in enumerate("abcabbcd")]
    tables = list(item_tables(items, rows=2))
    assert [table["id"].to_pylist() for table in tables] == [["a", "b"], ["c", "d"], []]
    assert "4 items were not asked, as their ids came before: 'a', 'b', 'b', 'c'" in caplog.text
    with pytest.raises(TypeError, match="each item should be an Item, not str"):
        list(item_tables(["a"], rows=2))  # type: ignore[list-item]


def test_paths_are_those_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    item = Item("a", Path("photos/a.jpg"), {"name": "moon", "tags": ["x", 2]})
    [read] = items_of(table_of([item]))
    assert read.picture == tmp_path / "photos" / "a.jpg"
    assert (read.id, read.fields) == (item.id, item.fields)


def test_a_limit_needs_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with (
        pytest.raises(ModuleNotFoundError, match=r"needs Ray Data.*'sansio-moondream\[ray\]'"),
        asker(echo, Template("query", question="x"), limit=RateLimit(5)),
    ):
        pytest.fail("it was made")


class TestOutput:
    ASKING = Asking(template=Template("query", question="why?"), endpoint=ENDPOINT)

    def test_it_is_for_one_question(self, tmp_path: Path) -> None:
        output = RayOutput(tmp_path / "out", self.ASKING)
        output.prepare()
        assert RayOutput(tmp_path / "out", self.ASKING).read() == {}
        for changes, name in (
            ({"question": "how?"}, "template"),
            ({"model": "moon"}, "model"),
            ({"skill": "caption", "question": None}, "skill"),
        ):
            template = dataclasses.replace(self.ASKING.template, **changes)
            with pytest.raises(BulkError, match=f"a run with another {name}"):
                RayOutput(tmp_path / "out", msgspec.structs.replace(self.ASKING, template=template))
        (tmp_path / "out" / "_run.json").write_text("{}")
        with pytest.raises(BulkError, match=r"_run.json cannot be read: .*skill"):
            RayOutput(tmp_path / "out", self.ASKING)

    def test_another_run_has_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # Each of the runs has a cluster of its own, which knows nothing of the other.
        monkeypatch.setattr(RayOutput, "_locked_in_the_cluster", lambda _: nullcontext())
        first, second = (RayOutput(tmp_path / "out", self.ASKING) for _ in range(2))
        with (
            first.locked(),
            pytest.raises(LedgerInUse, match=r"another run uses the output .*out: wait for"),
            second.locked(),
        ):
            pytest.fail("both have it")
        with second.locked():
            second.prepare()

    def test_what_is_no_output(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "ledger").mkdir()
        (tmp_path / "ledger" / "_ledger.sqlite").touch()
        for path, message in (
            ("s3://bucket/out", "should be a folder that all nodes see, not the address s3://"),
            (tmp_path / "file", "should be a folder: a run on Ray writes many"),
            (tmp_path, "has files, such as file, and no _run.json of an earlier run"),
            (tmp_path / "ledger", "is of a run on one machine"),
        ):
            with pytest.raises(ValueError, match=message):
                RayOutput(path, self.ASKING)

    def test_its_rows_are_counted(self, tmp_path: Path) -> None:
        output = RayOutput(tmp_path, self.ASKING)
        output.prepare()
        with asker(faulty, self.ASKING.template) as ask:
            table = ask(table_of(Item(f"i{number}") for number in range(5)))
        with asker(faulty, Template("query", question="{id}")) as ask:
            pq.write_table(ask(table_of([Item("i1"), Item("i4")])), tmp_path / "b.parquet")
        pq.write_table(table, tmp_path / "a.parquet")
        (tmp_path / "c.parquet").write_bytes(b"PAR1, and no more")
        assert count_rows(tmp_path) == 7
        first, second = output.read().values()
        assert (first.done, first.failed) == (5, 0)
        assert (second.done, second.failed, second.failures) == (1, 1, {"ServerError": 1})
        assert second.examples["ServerError"].startswith("i1: ")
