"""What a stream gives: a closed union of events, and two signals of `next_event()`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from ._geometry import BBox
from ._results import Result
from ._value import Value

# The fast path decodes JSON straight into `TextDelta` and `PathChunk`: a second object for each
# event would cost more than the decoding. So these structs are as strict as the fast path needs
# them. msgspec refuses a message with an unknown field, an empty text or a wrong type. It cannot
# refuse `"completed": true`; the fast path looks at `_completed`, which has its default in every
# event that is given out. `_text` is the text under one name for both: a tenth of the time saved.
_NonEmpty = Annotated[str, Meta(min_length=1)]


class _Delta(Struct, Value, frozen=True, kw_only=True, gc=False):
    _completed: bool = field(default=False, name="completed")
    _text: ClassVar[str]


class TextDelta(_Delta, frozen=True, gc=False, forbid_unknown_fields=True, repr_omit_defaults=True):
    """The next part of the text of a query, a caption or a chat; never empty.

    Print it as it is: spaces are part of it.

    Attributes:
        text: the text.
        token_index: index of its first token in the answer, if the server sent it.
    """

    text: _NonEmpty = field(name="chunk")
    token_index: int | None = None


class PathChunk(
    _Delta,
    frozen=True,
    gc=False,
    forbid_unknown_fields=True,
    repr_omit_defaults=True,
    tag_field="type",
    tag="path_delta",
):
    """The next part of the coarse SVG path of a segmentation; never empty.

    Servers send one whole path command in each, but only the chunks joined are sure to be a path.

    Attributes:
        data: SVG path text, in fractions of the box.
        token_index: index of its first token in the answer, if the server sent it.
    """

    data: _NonEmpty = field(name="chunk")
    token_index: int | None = None


TextDelta._text = TextDelta.text  # pyright: ignore[reportPrivateUsage]
PathChunk._text = PathChunk.data  # pyright: ignore[reportPrivateUsage]


class ReasoningDelta(Struct, Value, frozen=True, gc=False):
    """The next part of a chat's reasoning, which usually comes before its text; never empty.

    Attributes:
        text: the part. Print it as it is.
    """

    text: str


class Completed(Struct, Value, frozen=True):
    """The last event of a complete answer. `result` has the request's result type."""

    result: Result


class Unknown(Struct, Value, frozen=True):
    """A message that this version does not know. It is safe to ignore.

    `data` is the JSON object, unchanged.
    """

    data: dict[str, Any]


Event: TypeAlias = TextDelta | ReasoningDelta | BBox | PathChunk | Completed | Unknown
"""What a stream gives. The union is closed: a `match` over it can be complete."""


class Signal(Enum):
    """What `next_event()` returns if there is no event."""

    NEED_DATA = "NEED_DATA"
    FINISHED = "FINISHED"

    def __repr__(self) -> str:
        return self.value


NEED_DATA: Final[Literal[Signal.NEED_DATA]] = Signal.NEED_DATA
"""No event is ready. Give the stream more bytes."""
FINISHED: Final[Literal[Signal.FINISHED]] = Signal.FINISHED
"""All events were given, and the answer is complete."""
