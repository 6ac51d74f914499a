"""How Hypothesis runs here: the same examples every time, so that a red run can be repeated; `make
fuzz` is for new ones.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, find, settings, strategies

from sansio_moondream._wire.fast_path import slow_path_only

for name, count in (("suite", 30), ("long", 750)):  # the long one is for `make test-slow`
    settings.register_profile(
        name,
        derandomize=True,
        deadline=None,
        max_examples=count,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("suite")


_PROXIES = [f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")]
AMBIENT = (
    *("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PYTHONWARNINGS", "PYTHONUNBUFFERED"),
    *("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "COLUMNS", "LINES"),
    *(*_PROXIES, *map(str.lower, _PROXIES)),
    *("MOONDREAM_API_KEY", "MOONDREAM_MODEL"),
)
"""Variables of the machine that change what pytest, a terminal or an HTTP client does."""


@pytest.fixture(scope="session", autouse=True)
def ambient() -> Iterator[dict[str, str]]:
    """Run the tests, and the programs that they start, without `AMBIENT`. Gives their values."""
    before = {name: os.environ.pop(name) for name in AMBIENT if name in os.environ}
    yield before
    os.environ |= before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have child programs end by SIGINT.

    A shell starts programs in the background with SIGINT ignored. Children inherit that; a handler
    they do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


gc.disable()  # until the tests are collected: all that is made before them stays


def pytest_collection() -> None:
    """Run Hypothesis once before `gc.freeze`.

    In its first run it makes a generator of random numbers, and warns if the garbage collector does
    not see who holds it. From Python 3.14 on the collector sees nobody after the freeze."""
    find(strategies.none(), lambda _: True)


_collected: set[str] = set()


def pytest_collection_finish() -> None:
    """Exempt the modules and the tests from garbage collection, so that a test that collects what
    it left takes no time."""
    _collected.update(sys.modules)
    gc.freeze()
    gc.enable()


@pytest.fixture
def collected_modules() -> set[str]:
    """All modules that were imported when the tests had been collected."""
    return _collected


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-path", action="store_true", help="decode event streams without the fast path"
    )


@pytest.fixture(scope="session", autouse=True)
def _path(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.config.getoption("--slow-path"):
        with slow_path_only():
            yield
    else:
        yield
