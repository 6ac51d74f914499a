"""A project in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moondream_transports.conformance._fault_server import (
    FaultServer,
)
from tests.transports.pytest_plugin.projects import Project, answer


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with FaultServer(answer) as server:
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # so that the runs start sooner
        yield Project(pytester, server)
