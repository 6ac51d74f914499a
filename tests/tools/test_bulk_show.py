"""A bulk run over 1,000 pictures, killed five times, against a server that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.tools.bulk_checks import SHARE, check_killed, check_undisturbed
from tests.tools.bulk_show import make_pictures, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc has the memory of a process"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bulk") / "pictures"
    make_pictures(folder, 1000)
    return folder


def test_five_kills(pictures: Path, tmp_path: Path) -> None:
    shown = run(pictures, tmp_path, 5, rows_per_shard=100, timeout=200)
    assert len(shown.started) == 6
    check_killed(pictures, shown)


def test_a_run_is_nearly_as_fast_as_can_be(pictures: Path, tmp_path: Path) -> None:
    """Chance decides about some pauses, so a second run may show it, too."""
    seen: list[str] = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        shown = run(pictures, folder, 0, rows_per_shard=100, timeout=200)
        share, words = check_undisturbed(pictures, shown)
        if share >= SHARE:
            return
        seen.append(words)
    pytest.fail("; ".join(seen))
