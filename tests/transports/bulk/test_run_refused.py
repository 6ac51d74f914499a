"""Runs that are refused: a ledger of others, numbers out of range, wrong types."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import Client
from moondream_transports.bulk import BulkError, LedgerInUse, OutputFormat, Template, export
from tests.transports.bulk.runs import Answers, Gate, answers, items, run, run_with

JSON = OutputFormat.JSON_LINES


def test_a_second_run_on_the_same_ledger_is_refused(tmp_path: Path) -> None:
    gate, output = Gate(), tmp_path / "a.jsonl"
    first = threading.Thread(target=run, args=(Answers(gate), items(1), output))
    first.start()
    gate.wait_for(1)
    for use in (
        lambda: run(Answers(), items(2), output),
        lambda: export(f"{output}.ledger", tmp_path / "b.jsonl"),
    ):
        with pytest.raises(LedgerInUse, match=r"a\.jsonl\.ledger is in use by another run"):
            use()
    gate.opened.set()
    first.join()
    assert answers(output) == {"1": "about 1"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"template": Template("caption")}, "with skill=query, not caption"),
        ({"rows_per_shard": 4}, "with rows_per_shard=3, not 4"),
    ],
)
def test_a_ledger_of_other_files_is_refused(
    tmp_path: Path, arguments: dict[str, Any], words: str
) -> None:
    run(Answers(), items(1), tmp_path, format=JSON, rows_per_shard=3)
    with pytest.raises(BulkError, match=words):
        run(Answers(), items(2), tmp_path, **{"rows_per_shard": 3, "format": JSON, **arguments})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rows_per_shard": 0}, "rows_per_shard should be a whole number of at least 1, not 0"),
        ({"limit": -1}, "limit should be a whole number of at least 0, not -1"),
        ({"limit": True}, "limit should be"),
        ({"concurrent": 0}, "concurrent"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(Answers(), items(1), tmp_path / "a.jsonl", **arguments)


def test_what_is_no_item_is_refused(tmp_path: Path) -> None:
    given: Any = [*items(1), "photo.jpg"]
    with pytest.raises(TypeError, match="each item should be an Item, not str"):
        run(Answers(), given, tmp_path / "a.jsonl")
    assert answers(tmp_path / "a.jsonl") == {"1": "about 1"}


def test_a_sync_client_is_refused(tmp_path: Path) -> None:
    client: Any = Client()
    with pytest.raises(TypeError, match="client should be an AsyncClient, not Client"):
        run_with(client, items(1), Template("caption"), tmp_path / "a.jsonl")
    assert not list(tmp_path.iterdir())
