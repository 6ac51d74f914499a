"""Values that leave something out of their repr leave it out of what rich shows, too."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from sansio_moondream import EncodedImage, Endpoint, HTTPRequest, Metadata, QueryRequest
from tests.core.test_public_names import CLASSES

OWN = {
    name: value
    for name, value in CLASSES.items()
    if issubclass(value, Struct)
    and any("__repr__" in vars(kind) for kind in value.__mro__[: value.__mro__.index(Struct)])
}


def test_there_are_some() -> None:
    assert {Endpoint, EncodedImage, HTTPRequest, Metadata} <= {*OWN.values()}


@pytest.mark.parametrize("value", [*OWN.values(), QueryRequest], ids=[*OWN, "QueryRequest"])
def test_rich_takes_the_repr(value: Any) -> None:
    """rich does so where `__rich_repr__` gives nothing."""
    assert value.__rich_repr__(None) is None
