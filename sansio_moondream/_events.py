"""What a stream gives while it runs: a closed union of events, and two signals of `next_event()`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from ._geometry import BBox
from ._results import Result

# An event is itself the struct that msgspec decodes: nothing is copied on the way (a second object
# for each event costs more than decoding it). So the structs are strict where the fast lane needs
# it: a message that is not the most ordinary kind (an unknown field, an empty text, any `error`) is
# refused by msgspec, and the general way reads it. One thing msgspec cannot refuse is `"completed":
# true`; it is decoded into a guard field that an event handed out always has at its default.
_NonEmpty = Annotated[str, Meta(min_length=1)]


class _Guard(Struct, frozen=True, kw_only=True, gc=False):
    _completed: bool = field(default=False, name="completed")
    _text: ClassVar[str]  # what the event is about, under one name for both kinds: see below


class TextDelta(_Guard, frozen=True, gc=False, forbid_unknown_fields=True, repr_omit_defaults=True):
    """The next chunk of the text of a query, a caption or a chat; never empty. Print it as it is:
    spaces are part of it.
    """

    text: _NonEmpty = field(name="chunk")
    token_index: int | None = None


class PathChunk(
    _Guard,
    frozen=True,
    gc=False,
    forbid_unknown_fields=True,
    repr_omit_defaults=True,
    tag_field="type",
    tag="path_delta",
):
    """The next chunk of the coarse SVG path of a segmentation, in fractions of the box; never
    empty.

    Servers send one whole path command a chunk, but do not rely on it: only the chunks joined are a
    path."""

    data: _NonEmpty = field(name="chunk")
    token_index: int | None = None


# The fields' own descriptors once more: the fast lane reads `_text` as fast as a field, whichever
# kind it has.
TextDelta._text = TextDelta.text  # pyright: ignore[reportPrivateUsage]
PathChunk._text = PathChunk.data  # pyright: ignore[reportPrivateUsage]


class ReasoningDelta(Struct, frozen=True, gc=False):
    """The next chunk of a chat's reasoning, which mostly comes before its text; never empty."""

    text: str


class Completed(Struct, frozen=True):
    """The last event of a whole answer. `result` is of the request's result type."""

    result: Result


class Unknown(Struct, frozen=True):
    """A message that this version does not know, as it came.

    Ignoring it is right unless you know better.
    """

    data: dict[str, Any]


Event: TypeAlias = TextDelta | ReasoningDelta | BBox | PathChunk | Completed | Unknown


class Signal(Enum):
    """What `next_event()` gives where there is no event."""

    NEED_DATA = "NEED_DATA"
    FINISHED = "FINISHED"

    def __repr__(self) -> str:
        return self.value


NEED_DATA: Final[Literal[Signal.NEED_DATA]] = Signal.NEED_DATA
FINISHED: Final[Literal[Signal.FINISHED]] = Signal.FINISHED
