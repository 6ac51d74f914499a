"""The ledger's file: what is refused, what is made of it, and how large its user grows."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moondream_transports.bulk import BulkError, Item, OutputFormat, Template, export
from tests.transports.bulk.runs import Answers, answers, items, read, run, wait_until

JSON = OutputFormat.JSON_LINES


def change(ledger: Path, statement: str) -> None:
    with closing(sqlite3.connect(ledger)) as database, database:
        database.execute(statement)


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    output, ledger = tmp_path / "a.jsonl", tmp_path / "a.jsonl.ledger"
    run(Answers(), items(1), output)
    change(ledger, "PRAGMA user_version = 2")
    before = ledger.read_bytes()
    with pytest.raises(BulkError, match="has version 2, and this release .* reads version 1"):
        run(Answers(), items(2), output)
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("kind", ["another database", "text", "an empty database of another"])
def test_a_file_that_is_no_ledger_is_refused_and_not_changed(tmp_path: Path, kind: str) -> None:
    ledger = tmp_path / "a.jsonl.ledger"
    if kind == "text":
        ledger.write_text("my diary\n" * 1000)
    else:
        change(ledger, "CREATE TABLE mine (x)")
    if kind == "an empty database of another":
        change(ledger, "DROP TABLE mine")
        change(ledger, "PRAGMA application_id = 7")
    before = ledger.read_bytes()
    with pytest.raises(BulkError, match=r"a\.jsonl\.ledger is no ledger of a bulk run"):
        run(Answers(), items(1), tmp_path / "a.jsonl")
    with pytest.raises(BulkError, match=r"a\.jsonl\.ledger is no ledger of a bulk run"):
        export(ledger, tmp_path / "b.jsonl")
    assert ledger.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [ledger.name]


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.ledger").touch()  # a crash before the first transaction leaves one
    run(Answers(), items(1), tmp_path / "a.jsonl")
    assert answers(tmp_path / "a.jsonl") == {"1": "about 1"}
    (tmp_path / "b.ledger").touch()
    with pytest.raises(BulkError, match="no ledger"):
        export(tmp_path / "b.ledger", tmp_path / "b.jsonl")


def test_a_damaged_ledger_is_reported(tmp_path: Path) -> None:
    ledger = tmp_path / "a.jsonl.ledger"
    run(Answers(), items(*range(100)), tmp_path / "a.jsonl")
    content = bytearray(ledger.read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    ledger.write_bytes(content)
    with pytest.raises(BulkError, match=r"a\.jsonl\.ledger cannot be used: .*malformed: it is dam"):
        run(Answers(), items(1), tmp_path / "a.jsonl")


def test_a_ledger_without_its_settings_is_damaged(tmp_path: Path) -> None:
    run(Answers(), items(1), tmp_path / "a.jsonl")
    change(tmp_path / "a.jsonl.ledger", "DELETE FROM settings")
    with pytest.raises(BulkError, match=r"cannot be used: .* `skill`: it is damaged"):
        run(Answers(), items(1), tmp_path / "a.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no open file")
def test_a_run_whose_ledger_is_deleted_ends_instead_of_losing_answers(tmp_path: Path) -> None:
    output = tmp_path / "a.jsonl"

    def given() -> Iterator[Item]:
        yield from items(1)
        asyncio.run(wait_until(lambda: transport.asked))  # items are read in a thread
        output.with_name("a.jsonl.ledger").unlink()
        yield from items(*range(2, 1000))

    transport = Answers()
    with pytest.raises(BulkError, match="was moved or deleted during the run: put it back"):
        run(transport, given(), output, concurrent=1)
    assert len(transport.asked) < 999


def test_a_ledger_in_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.ledger").mkdir()
    with pytest.raises(
        BulkError, match="unable to open database file: it should be a file that can be"
    ):
        run(Answers(), items(1), tmp_path / "a.jsonl")


def test_files_that_are_gone_are_written_again(tmp_path: Path) -> None:
    first = run(Answers(), items(*range(5)), tmp_path, format=JSON, rows_per_shard=2)
    before = [file.read_bytes() for file in first.files]
    first.files[0].unlink()
    second = run(Answers(), items(*range(5)), tmp_path, format=JSON, rows_per_shard=2)
    assert [file.read_bytes() for file in second.files] == before


def test_only_shards_with_new_rows_are_written(tmp_path: Path) -> None:
    run(Answers(), items(*range(5)), tmp_path, format=JSON, rows_per_shard=2)
    written = [file.stat().st_ino for file in sorted(tmp_path.glob("part-*"))]
    run(Answers(), items(*range(6)), tmp_path, format=JSON, rows_per_shard=2)
    again = [file.stat().st_ino for file in sorted(tmp_path.glob("part-*"))]
    assert again[:2] == written[:2]
    assert again[2] != written[2]


def test_the_files_can_be_made_anew_from_the_ledger(tmp_path: Path) -> None:
    home = tmp_path / "home"
    summary = run(Answers(), items(*range(7)), home, format=JSON, rows_per_shard=3)
    rows = read(*summary.files)
    for file in summary.files:
        file.unlink()
    assert export(summary.ledger, home, format=JSON) == summary.files
    assert read(*summary.files) == rows
    elsewhere = export(summary.ledger, tmp_path / "new", format=JSON, rows_per_shard=5)
    assert [len(read(file)) for file in elsewhere] == [5, 2]
    assert read(*elsewhere) == rows
    same = export(summary.ledger, tmp_path / "same", format=JSON)
    assert [len(read(file)) for file in same] == [3, 3, 1]
    assert export(summary.ledger, tmp_path / "one.jsonl") == (tmp_path / "one.jsonl",)
    assert read(tmp_path / "one.jsonl") == rows


def test_one_file_is_exported_as_shards(tmp_path: Path) -> None:
    summary = run(Answers(), items(*range(3)), tmp_path / "a.jsonl")
    (csv,) = export(summary.ledger, tmp_path / "shards", format=OutputFormat.CSV)
    assert csv.name == "part-00000.csv"
    assert csv.read_text().count("about") == 3


def test_masks_are_exported_without_asking_again(tmp_path: Path) -> None:
    picture = Path(__file__).parents[3] / "docs" / "pictures" / "pictures-overlay.png"
    box = {"x_min": 0.0, "y_min": 0.0, "x_max": 1.0, "y_max": 1.0}
    body = json.dumps({"path": "M 0 0 L 1 0 L 1 1 Z", "bbox": box}).encode()
    template = Template("segment", object="moon")
    given = [Item("1", picture)]
    summary = run(Answers(lambda _: body), given, tmp_path / "a.jsonl", template=template)
    assert "mask" not in read(*summary.files)[0]
    export(summary.ledger, tmp_path / "b.jsonl", masks=True)
    (row,) = read(tmp_path / "b.jsonl")
    head = picture.read_bytes()[16:24]
    assert row["mask"]["size"] == [int.from_bytes(head[4:]), int.from_bytes(head[:4])]


def test_exports_that_would_replace_something_else_are_refused(tmp_path: Path) -> None:
    first = run(Answers(), items(1), tmp_path / "a", format=JSON)
    second = run(Answers(), items(2), tmp_path / "b", format=JSON)
    with pytest.raises(ValueError, match="has another ledger"):
        export(first.ledger, tmp_path / "b", format=JSON)
    with pytest.raises(BulkError, match="with rows_per_shard=10000, not 5"):
        export(first.ledger, tmp_path / "a", format=JSON, rows_per_shard=5)
    with pytest.raises(ValueError, match="rows_per_shard should be .* at least 1, not 0"):
        export(first.ledger, tmp_path / "c", format=JSON, rows_per_shard=0)
    assert answers(*second.files) == {"2": "about 2"}


def test_an_export_needs_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no ledger .*none\.ledger"):
        export(tmp_path / "none.ledger", tmp_path / "b.jsonl")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="there is no ledger file"):
        export(tmp_path, tmp_path / "b.jsonl")
