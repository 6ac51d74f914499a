"""Items of which no request could be made: one that is mended replaces its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from moondream_transports.bulk import Item
from tests.transports.bulk.runs import Answers, answers, items, read, run


@pytest.mark.parametrize("retry_failed", [False, True])
def test_an_item_that_is_mended_replaces_its_row(tmp_path: Path, retry_failed: bool) -> None:
    output = tmp_path / "a.jsonl"
    broken = [Item("a", problem="line 1: it has no picture"), Item("b", fields={"question": [1]})]
    first = run(Answers(), [*items(1), *broken, *items(2)], output)
    assert (first.counts.done, first.counts.failed) == (2, 2)
    before = [row["id"] for row in read(output)]
    assert [row["request"] for row in read(output) if row["status"] == "failed"] == [None, None]
    moved = [Item("a", problem="line 7: it has no picture"), Item("b", fields={"question": "x"})]
    second = run(Answers(), [*items(1), *moved, *items(2)], output, retry_failed=retry_failed)
    assert (second.counts.done, second.counts.failed) == (1, retry_failed)
    assert second.counts.failed_before == (not retry_failed)
    run(Answers(), items(1, "a", 2), output)
    assert [row["id"] for row in read(output)] == before
    assert answers(output) == {"1": "about 1", "a": "about a", "b": "about x", "2": "about 2"}


def test_a_broken_question_stays_beside_another_of_the_same_id(tmp_path: Path) -> None:
    output = tmp_path / "a.jsonl"
    given = [Item("a", problem="line 1"), *items("a")]
    for retry_failed in (False, True):
        run(Answers(), given, output, retry_failed=retry_failed, concurrent=1)
        assert sorted(row["status"] for row in read(output)) == ["done", "failed"]
