"""What a run would find, looked up without asking anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moondream_transports.bulk import BulkError, Item, Preview, Template, preview
from tests.transports.bulk.runs import TEMPLATE, Answers, run, whole

ITEMS = [Item(name) for name in "abcd"]


def answer(question: str) -> Any:
    """A failure for b, and answers with and without numbers."""
    metrics = {"input_tokens": 100, "output_tokens": 10, "decode_time_ms": 2000}
    answers = {
        "a": whole("A", metrics=metrics | {"prefill_time_ms": 500}),
        "b": 400,
        "c": whole("C", metrics=metrics | {"output_tokens": 20, "ttft_ms": 1500}),
    }
    return answers.get(question, whole("D"))


def test_without_a_ledger(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    assert preview(ITEMS, TEMPLATE, output) == Preview(4)
    assert preview(iter(ITEMS), TEMPLATE, output) == Preview(None)
    assert not list(tmp_path.iterdir())


def test_with_a_ledger(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    transport = Answers(answer)
    run(transport, ITEMS[:3], output)
    seen = preview(ITEMS, TEMPLATE, output)
    assert seen == Preview(4, 3, latency=3.0, input_tokens=100.0, output_tokens=15.0)
    assert preview(ITEMS, TEMPLATE, output, retry_failed=True).in_ledger == 2
    assert preview(ITEMS, Template("query", question="{id}?"), output).in_ledger == 0
    assert preview(ITEMS, Template("query", question="{id}", model="m"), output).in_ledger == 0
    assert len(transport.asked) == 3


def test_answers_without_numbers(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    run(Answers(answer), ITEMS[3:], output)
    assert preview(ITEMS, TEMPLATE, output) == Preview(4, 1)


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "out.csv.ledger").write_text("no ledger")
    with pytest.raises(BulkError, match="is no ledger"):
        preview(ITEMS, TEMPLATE, tmp_path / "out.csv")
