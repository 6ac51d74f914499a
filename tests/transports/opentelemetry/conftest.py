"""The module of docs/how-to/opentelemetry.md, and its hooks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.guides import ROOT, write_files


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("opentelemetry")
    write_files(ROOT / "docs" / "how-to" / "opentelemetry.md", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield import_module("moon_otel")
    sys.modules.pop("moon_otel")


@pytest.fixture
def watch(module: Any) -> Any:
    # Imported here: without opentelemetry-sdk the import skips, which a conftest may not do.
    from tests.transports.opentelemetry.watch import Watch

    return Watch(module)
