"""A bulk run over 1,000 pictures, killed five times, against a server that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.tools.bulk_checks import check_killed, check_undisturbed
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
    check_undisturbed(pictures, run(pictures, tmp_path, 0, rows_per_shard=100, timeout=200))
