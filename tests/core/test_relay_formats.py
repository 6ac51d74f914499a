"""The formats by their names."""

from __future__ import annotations

import pytest

from sansio_moondream.relay import (
    DialectEncoder,
    EventsEncoder,
    Format,
    OpenAIEncoder,
    StreamEncoder,
    UIMessageEncoder,
    open_encoder,
)
from tests.core.relays import END_OF_TEXT, TEXT
from tests.helpers import QUERY

ENCODERS: dict[str, type[StreamEncoder]] = {
    "events": EventsEncoder,
    "engine": DialectEncoder,
    "cloud": DialectEncoder,
    "station": DialectEncoder,
    "demo": DialectEncoder,
    "openai": OpenAIEncoder,
    "ui-message": UIMessageEncoder,
}


def test_each_name_has_an_encoder():
    assert [each.value for each in Format] == list(ENCODERS)
    for name, class_ in ENCODERS.items():
        assert type(open_encoder(Format(name))) is class_


@pytest.mark.parametrize("format", Format)
def test_each_stream_has_an_encoder_of_its_own(format: Format):
    first, second = open_encoder(format, QUERY, created=7), open_encoder(format, QUERY, created=7)
    assert [first.encode(event) for event in (*TEXT, END_OF_TEXT)] == [
        second.encode(event) for event in (*TEXT, END_OF_TEXT)
    ]
