"""The files of docs/how-to/embed-socket.md and embed-sdk.md can be imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.guides import ROOT, write_files


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The files of the guides can be imported."""
    folder = tmp_path_factory.mktemp("embed")
    page = ROOT / "docs" / "how-to" / "embed-socket.md"
    names = [path.stem for path in write_files(page, folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    for name in names:
        sys.modules.pop(name, None)
