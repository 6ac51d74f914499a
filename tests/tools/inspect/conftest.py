"""The server of the page, and one Chromium for the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import chromium
from tests.devtools import Chromium
from tests.tools.inspect.page_server import HARBOUR, SHIPPED, Served, serving


@pytest.fixture(scope="session")
def shipped() -> Iterator[Served]:
    """The page with the recordings of the package, and their picture."""
    with serving([SHIPPED], [HARBOUR]) as served:
        yield served


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if chromium.PROGRAM is None:
        pytest.skip("needs Chromium: `make ci-tools`")
    with Chromium(tmp_path_factory.mktemp("chromium")) as program:
        yield program
