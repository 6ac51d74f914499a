"""A Chromium for each file of tests, and the site of docs/how-to/browser.md for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moondream_tools import FakeServer
from tests import chromium
from tests.devtools import Chromium
from tests.transports.relay.browser.pages import Faults, served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if chromium.PROGRAM is None:
        pytest.skip("needs Chromium: `make ci-tools`")
    with Chromium(tmp_path_factory.mktemp("chromium")) as program:
        yield program


@pytest.fixture
def upstream() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def site(upstream: FakeServer, tmp_path: Path) -> Iterator[tuple[str, Faults]]:
    with served(upstream, tmp_path) as both:
        yield both
