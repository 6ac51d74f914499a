"""Examples that Hypothesis finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import Phase, find, settings
from hypothesis import strategies as st

from sansio_moondream import Dialect
from sansio_moondream.testing import Response
from tests.helpers import REQUESTS

T = TypeVar("T")
each_skill = pytest.mark.parametrize("skill", sorted(REQUESTS))
each_dialect = pytest.mark.parametrize("dialect", Dialect)


def smallest(
    values: st.SearchStrategy[T], condition: Callable[[T], bool], examples: int = 200
) -> T:
    """Return the simplest example for which the condition holds, as one of `examples` does."""
    return find(
        values,
        condition,
        settings=settings(max_examples=examples, phases=[Phase.generate, Phase.shrink]),
    )


def has(*kinds: type) -> Callable[[Response], bool]:
    return lambda response: all(
        any(isinstance(event, kind) for event in response.events) for kind in kinds
    )
