"""Folders for the tests of inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transports.bulk.folders import GIF, NAMES, OTHERS


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `photos`, a folder of the current one, with pictures and other files."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES + OTHERS:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GIF)
    return Path("photos")


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `data`, an empty folder of the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path
