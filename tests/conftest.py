"""How Hypothesis runs here: the same examples every time, so that a red run can be repeated; `make
fuzz` is for new ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sansio_moondream._wire.fast_path import slow_path_only

settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", deadline=None, max_examples=20_000)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-path", action="store_true", help="decode event streams without the fast path"
    )


@pytest.fixture(autouse=True)
def _path(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.config.getoption("--slow-path"):
        with slow_path_only():
            yield
    else:
        yield
