"""The table of `map_exception`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from moondream_transports._adapters.exceptions import _CLASSES

PLACES = {
    "aiohttp": ("aiohttp", "aiohttp.http_exceptions"),
    "h2": ("h2.exceptions",),
    "http": ("http.client",),
    "httpx": ("httpx", "httpx2"),
    "requests": ("requests.exceptions",),
    "urllib3": ("urllib3.exceptions",),
}


def anyio_is_older_than_4_10() -> bool:
    major, minor, *_ = version("anyio").split(".")
    return (int(major), int(minor)) < (4, 10)


@pytest.mark.parametrize("library", sorted({name for kind in _CLASSES.values() for name in kind}))
def test_every_class_of_the_table_exists(library: str) -> None:
    """A misspelt one would match nothing."""
    modules: list[Any] = [pytest.importorskip(name) for name in PLACES.get(library, (library,))]
    for libraries in _CLASSES.values():
        for name in libraries.get(library, "").split():
            found = [getattr(module, name, None) for module in modules]
            if f"{library}.{name}" == "anyio.ConnectionFailed" and anyio_is_older_than_4_10():
                continue
            assert any(isinstance(kind, type) for kind in found), f"{library}.{name}"
            if library == "httpx":
                assert None not in found
            kinds = [kind for kind in found if kind is not None]
            assert all(kind.__module__.strip("_").startswith(library) for kind in kinds), kinds
