"""Transports by their names, for the trials."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transports.adapters import ADAPTERS

NAMED = {adapter.name: adapter for adapter in ADAPTERS}


def each_of(*names: str) -> Any:
    """These adapters as parameters."""
    return pytest.mark.parametrize("adapter", [NAMED[name] for name in names], ids=names)
