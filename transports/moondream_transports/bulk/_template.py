"""The template of a bulk run: from an item of the input to its request.

1. A text of the template may have placeholders: `{column}` is replaced by the item's value. The
   name between the braces is the whole name of a column. Nothing is looked up in the value and
   nothing is computed, so a template cannot reach anything but the columns.
2. A column of the input with the name of a field, such as `question`, replaces the template's own
   value. It is data: its braces are no placeholders. An empty cell replaces nothing.
3. The digest of an item depends on what is asked, not on the picture and the model. It stays the
   same in later releases, because a ledger finds its rows by it. It is empty if nothing can be
   asked: an item that is mended is the same item, whatever was wrong with it.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from moondream_transports._client._shared import SpatialRefs
from moondream_transports._pictures import UNREAD, read_image
from sansio_moondream import (
    CaptionRequest,
    CaptionResult,
    DetectRequest,
    DetectResult,
    EncodedImage,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    Request,
    Result,
    SegmentRequest,
    SegmentResult,
    Settings,
    encode_image,
)
from sansio_moondream._pictures.data_url import data_url_head
from sansio_moondream._pictures.formats import image_info
from sansio_moondream._pictures.opening import require_pillow
from sansio_moondream._repr import short_repr

from ._placeholders import fill, from_json, names_in, no_column
from ._values import Item, Source

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Maximum size of a picture's file. The service takes 10 MB, and larger ones are made smaller."""

_FIELDS = ("question", "object", "length", "reasoning", "spatial_refs")
_NOT_TEXT = ("reasoning", "spatial_refs")
_SIZE_BYTES = (3 * 256, 64 * 1024)  # of a picture, which nearly always have its size


class _Skill(NamedTuple):
    request: Callable[..., Request[Any]]
    result: type[Result]
    fields: tuple[str, ...]
    required: str | None


_SKILLS = {
    "query": _Skill(
        QueryRequest, QueryResult, ("question", "reasoning", "spatial_refs"), "question"
    ),
    "caption": _Skill(CaptionRequest, CaptionResult, ("length",), None),
    "segment": _Skill(SegmentRequest, SegmentResult, ("object", "spatial_refs"), "object"),
    "detect": _Skill(DetectRequest, DetectResult, ("object",), "object"),
    "point": _Skill(PointRequest, PointResult, ("object", "spatial_refs"), "object"),
}


@dataclass(frozen=True)
class Template:
    """What a bulk run asks about each item.

    Args:
        skill: "query", "caption", "segment", "detect" or "point".
        question, object, length, reasoning, spatial_refs: the fields of the skill's request. Each
            `{column}` in a text becomes the item's value of that column, and `{id}` its id. A
            column of the input with the name of a field replaces that field.
        settings, model: see `Request`.
        max_side: limit of the longer side of a picture, in pixels. It needs Pillow.

    Raises:
        ValueError: there is no such skill, the skill has no such field, a value is out of its
            range, or a text has a brace that belongs to no placeholder.
        TypeError: a value is of another type.
        ModuleNotFoundError: `max_side` is given, and Pillow is not installed.
    """

    skill: str
    _: KW_ONLY
    question: str | None = None
    object: str | None = None
    length: str | None = None
    reasoning: bool | None = None
    spatial_refs: SpatialRefs | None = None
    settings: Settings | None = None
    model: str | None = None
    max_side: int | None = None

    def __post_init__(self) -> None:
        if self.skill not in _SKILLS:
            chat = ". Chats have no template: ask them with Client.map"
            raise ValueError(
                f"skill should be one of {', '.join(_SKILLS)}, not {short_repr(self.skill, 60)}"
                + chat * (self.skill == "chat")
            )
        own = {name: getattr(self, name) for name in _FIELDS}
        given = {name: value for name, value in own.items() if value is not None}
        if unknown := [name for name in given if name not in self._skill.fields]:
            raise ValueError(
                f"a request of the skill {self.skill} has no {', '.join(unknown)}; it has "
                f"{', '.join(self._skill.fields)}"
            )
        # A request of what is fixed checks it before anything is asked.
        fixed = {name: value for name, value in given.items() if not names_in(name, value)}
        if self._skill.required is not None:
            fixed.setdefault(self._skill.required, "checked with each item")
        checked: Any = self._make(fixed, UNREAD)
        if self.spatial_refs is not None:  # an iterator would give them only once
            object.__setattr__(self, "spatial_refs", checked.spatial_refs)
        if self.max_side is not None:
            require_pillow()
            encode_image(UNREAD, max_side=self.max_side)  # which checks it

    @cached_property
    def _skill(self) -> _Skill:
        return _SKILLS[self.skill]

    @property
    def result_type(self) -> type[Result]:
        """The class of the answers."""
        return self._skill.result

    @property
    def needs_picture(self) -> bool:
        """Whether each item needs a picture. Only a question can be asked without one."""
        return self.skill != "query"

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the input that are used if they are there."""
        used = set(self._skill.fields)
        for name in self._skill.fields:
            used |= names_in(name, getattr(self, name))
        return frozenset(used)

    def check_columns(self, names: Collection[str]) -> None:
        """Check that an input has the columns that the template needs.

        Args:
            names: of the columns that the input has.

        Raises:
            ValueError: one is missing. The message names those that are there.
        """
        for field in self._skill.fields:
            if field not in names:
                self._check_given(field)
                for name in sorted(names_in(field, getattr(self, field)) - {"id"}):
                    if name not in names:
                        raise ValueError(no_column(name, names))

    def request(self, item: Item) -> Request[Any]:
        """Make the request of `item`. Its picture is read and encoded.

        Raises:
            ValueError: the item has a problem, the input lacks a column, a value is out of its
                range, or the picture is missing or none.
            TypeError: a value is of another type.
            OSError: the picture cannot be read.
        """
        fields = self._same_fields if self._asks_the_same(item) else self._filled(item)
        if item.picture is None and self.needs_picture:
            raise ValueError(f"the item has no picture, and the skill {self.skill} needs one")
        return self._make(fields, None if item.picture is None else self._encoded(item.picture))

    def digest(self, item: Item) -> str:
        """Return a digest of what is asked about `item`: SHA-256 in hexadecimal digits.

        It covers the skill, the filled fields and the settings, but not the picture and the model.
        No picture is read. It is empty for an item of which no request can be made.
        """
        return self._same_digest if self._asks_the_same(item) else self._digest(item)

    def _asks_the_same(self, item: Item) -> bool:
        """Return whether an item replaces no field, fills no placeholder and has no problem."""
        return (
            self._is_fixed
            and item.problem is None
            and item.fields.keys().isdisjoint(self._skill.fields)
        )

    @cached_property
    def _is_fixed(self) -> bool:
        """Whether no text has placeholders."""
        return not any(names_in(name, getattr(self, name)) for name in self._skill.fields)

    @cached_property
    def _same_digest(self) -> str:
        return self._digest(Item(""))

    @cached_property
    def _same_fields(self) -> dict[str, Any]:
        return self._filled(Item(""))

    def _digest(self, item: Item) -> str:
        try:
            request = self._make(self._filled(item), UNREAD)
        except (TypeError, ValueError):
            return ""
        fields = {name: getattr(request, name) for name in self._skill.fields}
        if refs := fields.get("spatial_refs"):
            fields["spatial_refs"] = [list(map(float, ref)) for ref in refs]
        settings = {} if self.settings is None else msgspec.structs.asdict(self.settings)
        form = {
            "skill": self.skill,
            "settings": {name: float(n) for name, n in settings.items() if n is not None},
            "fields": {name: value for name, value in fields.items() if value is not None},
        }
        return hashlib.sha256(msgspec.json.encode(form, order="sorted")).hexdigest()

    def _filled(self, item: Item) -> dict[str, Any]:
        if item.problem is not None:
            raise ValueError(item.problem)
        columns = {"id": item.id, **item.fields}
        filled: dict[str, Any] = {}
        for name in self._skill.fields:
            value = item.fields.get(name)
            if value is None or value == "":
                self._check_given(name)
                value = getattr(self, name)
                filled[name] = fill(value, columns) if isinstance(value, str) else value
            else:
                is_json = name in _NOT_TEXT and isinstance(value, str)
                filled[name] = from_json(value) if is_json else value
        return filled

    def _check_given(self, name: str) -> None:
        if name == self._skill.required and getattr(self, name) is None:
            raise ValueError(
                f"the skill {self.skill} needs {name}: give it in the template, or in a column "
                f"{name!r} of the input"
            )

    def _make(self, fields: Mapping[str, Any], image: EncodedImage | None) -> Request[Any]:
        return self._skill.request(image=image, settings=self.settings, model=self.model, **fields)

    def _encoded(self, picture: Source) -> EncodedImage:
        if isinstance(picture, Path):
            status = picture.stat()
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{picture}: it should be a file")
            if status.st_size > MAX_FILE_BYTES:
                raise ValueError(
                    f"{picture}: it has {status.st_size:,} bytes, more than {MAX_FILE_BYTES:,}"
                )
            try:
                return read_image(picture, max_side=self.max_side)
            except ValueError as error:  # its message has the name, which may be no UTF-8
                raise ValueError(_encodable(error)) from error
        if isinstance(picture, bytes):
            return read_image(io.BytesIO(picture), max_side=self.max_side)
        if isinstance(picture, str | EncodedImage):
            return encode_image(picture, max_side=self.max_side)
        raise TypeError(
            "a picture should be a Path, bytes, a data URL or an EncodedImage, not "
            f"{type(picture).__name__}"
        )


def picture_size(request: Request[Any]) -> tuple[int | None, int | None]:
    """Return width and height of a request's picture in pixels, or None where it is not known."""
    image: EncodedImage | None = getattr(request, "image", None)
    if image is None:
        return None, None
    head = data_url_head(image.data_url).end()
    for size in _SIZE_BYTES:  # decoding all of it would take longer than the rest of a request
        start = EncodedImage(image.data_url[: head + size // 3 * 4]).data
        _, width, height = image_info(start)
        if width is not None:
            return width, height
    _, width, height = image_info(image.data)
    return width, height


def _encodable(error: Exception) -> str:
    return str(error).encode("utf-8", "backslashreplace").decode()
