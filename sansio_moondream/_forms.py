"""Types of Python and their form in JSON: how to write a value, how to read it, and its schema.

Reading is strict and converts nothing, so a value that was written and read is equal to itself.
The words of errors are those of JSON, as the readers of a form may write it in any language.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, NoReturn, Protocol, TypeAlias, cast

from ._headers import Headers
from ._repr import short_repr

Schema: TypeAlias = dict[str, Any]
Definitions: TypeAlias = dict[str, Schema]
"""The `$defs` of a JSON Schema."""


class Form(Protocol):
    """The JSON form of one type."""

    words: str
    """What a value is, for messages."""

    plain_types: frozenset[type]
    """Values of exactly these types are their own form, if they are finite. Most fields have one:
    this saves two thirds of the time of `to_dict`."""

    def holds(self, value: Any) -> bool:
        """Test if a value of Python is of the type."""
        ...

    def reads(self, data: Any) -> bool:
        """Test if JSON is of the form. The parts of an array or an object are not tested."""
        ...

    def encode(self, value: Any) -> Any:
        """Return the form of a value that the type holds."""
        ...

    def decode(self, data: Any, name: str) -> Any:
        """Return the value of JSON, which is called `name` in messages.

        Raises:
            ValueError: the JSON is not of the form.
        """
        ...

    def schema(self, definitions: Definitions) -> Schema:
        """Return the JSON Schema of the form, and add to the definitions what it refers to."""
        ...


class Scalar:
    """Text, a number, true or false, or null."""

    def __init__(self, type_: type, json_type: str, words: str) -> None:
        self._type = type_
        self._json_type = json_type
        self.words = words
        self.plain_types = frozenset({type_})

    def holds(self, value: Any) -> bool:
        if isinstance(value, bool):
            return self._type is bool
        return isinstance(value, int | float if self._type is float else self._type)

    def reads(self, data: Any) -> bool:
        # In JSON Schema 1.0 is an integer. NaN is not JSON, but Python's decoder reads it.
        if isinstance(data, float):
            is_whole = self._type is int and data.is_integer()
            return is_whole or (self._type is float and math.isfinite(data))
        return self.holds(data)

    def encode(self, value: Any) -> Any:
        return plain(value)

    def decode(self, data: Any, name: str) -> Any:
        if not self.reads(data):
            mismatch(name, self.words, data)
        return int(data) if self._type is int else data

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": self._json_type}


class Choice:
    """One of some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self.plain_types = frozenset[type]()
        self.words = " or ".join(f'"{text}"' for text in texts)

    def holds(self, value: Any) -> bool:
        return isinstance(value, str) and value in self._texts

    def reads(self, data: Any) -> bool:
        return self.holds(data)

    def encode(self, value: Any) -> Any:
        return plain(value)

    def decode(self, data: Any, name: str) -> Any:
        return data if self.reads(data) else mismatch(name, self.words, data)

    def schema(self, definitions: Definitions) -> Schema:
        return {"enum": list(self._texts)}


class Array:
    """A tuple of any length, whose items are of one type."""

    words = "an array"
    plain_types = frozenset[type]()

    def __init__(self, item: Form) -> None:
        self._item = item

    def holds(self, value: Any) -> bool:
        return isinstance(value, tuple | list) and all(
            map(self._item.holds, cast(Sequence[Any], value))
        )

    def reads(self, data: Any) -> bool:
        return isinstance(data, list)

    def encode(self, value: Any) -> Any:
        return [self._item.encode(item) for item in value]

    def decode(self, data: Any, name: str) -> Any:
        if not self.reads(data):
            mismatch(name, self.words, data)
        return tuple(self._item.decode(item, f"{name}[{at}]") for at, item in enumerate(data))

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": "array", "items": self._item.schema(definitions)}


class HeaderPairs:
    """Header fields, as arrays of a name and a value."""

    words = "an array of [name, value]"
    plain_types = frozenset[type]()

    def holds(self, value: Any) -> bool:
        return isinstance(value, Headers)

    def reads(self, data: Any) -> bool:
        return isinstance(data, list)

    def encode(self, value: Any) -> Any:
        return [list(pair) for pair in value.multi_items()]

    def decode(self, data: Any, name: str) -> Any:
        if not self.reads(data):
            mismatch(name, self.words, data)
        pairs = _TEXT_LISTS.decode(data, name)
        for at, pair in enumerate(pairs):
            if len(pair) != 2:
                raise ValueError(f"{name}[{at}] should be [name, value], not {len(pair)} texts")
        return Headers(pairs)

    def schema(self, definitions: Definitions) -> Schema:
        pairs = _TEXT_LISTS.schema(definitions)
        return pairs | {"items": pairs["items"] | {"minItems": 2, "maxItems": 2}}


class OpenObject:
    """An object with any fields: what a server sent that this library does not know."""

    words = "an object"
    plain_types = frozenset[type]()

    def holds(self, value: Any) -> bool:
        return isinstance(value, Mapping)

    def reads(self, data: Any) -> bool:
        return isinstance(data, Mapping)

    def encode(self, value: Any) -> Any:
        try:
            return plain(value)
        except RecursionError:
            raise TypeError("the value nests too deep") from None

    def decode(self, data: Any, name: str) -> Any:
        if not self.reads(data):
            mismatch(name, self.words, data)
        try:
            return self.encode(data)
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": "object"}


class Union:
    """A value of one of some types, which differ in JSON, too."""

    def __init__(self, options: Sequence[Form]) -> None:
        self._options = options
        self.words = " or ".join(option.words for option in options)
        self.plain_types = frozenset[type]().union(*(option.plain_types for option in options))

    def holds(self, value: Any) -> bool:
        return any(option.holds(value) for option in self._options)

    def reads(self, data: Any) -> bool:
        return any(option.reads(data) for option in self._options)

    def encode(self, value: Any) -> Any:
        for option in self._options[:-1]:
            if option.holds(value):
                return option.encode(value)
        return self._options[-1].encode(value)  # as one of them holds it

    def decode(self, data: Any, name: str) -> Any:
        if not self.reads(data):
            mismatch(name, self.words, data)
        return next(option for option in self._options if option.reads(data)).decode(data, name)

    def schema(self, definitions: Definitions) -> Schema:
        return {"anyOf": [option.schema(definitions) for option in self._options]}


FORMS: dict[type, Form] = {
    NoneType: Scalar(NoneType, "null", "null"),
    str: Scalar(str, "string", "text"),
    bool: Scalar(bool, "boolean", "true or false"),
    int: Scalar(int, "integer", "a whole number"),
    float: Scalar(float, "number", "a number"),
    dict: OpenObject(),
    Headers: HeaderPairs(),
}
_TEXT_LISTS = Array(Array(FORMS[str]))


def plain(value: Any) -> Any:
    """Copy a value with the plain types of JSON. A number that is not finite becomes None.

    Raises:
        TypeError: JSON has no such value.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):  # of an exact type: json.dumps may write an enum otherwise
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return finite(float.__float__(value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast(Sequence[Any], value)]
    if isinstance(value, Mapping):
        fields = cast(Mapping[Any, Any], value)
        if all(isinstance(name, str) for name in fields):
            return {str.__str__(name): plain(item) for name, item in fields.items()}
        raise TypeError("the names of a JSON object should be text")
    raise TypeError(f"JSON has no {type(value).__name__}")


def finite(number: float) -> float | None:
    """Return a number, or None in place of one that JSON does not have."""
    return number if math.isfinite(number) else None


def mismatch(name: str, expected: str, seen: Any) -> NoReturn:
    """Raise the error for JSON of another form.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} should be {expected}, not {_show(seen)}")


def _show(data: Any) -> str:
    if isinstance(data, str):
        return repr(data) if len(data) <= 40 else f"{data[:40]!r}…"
    if isinstance(data, Mapping):
        kind = cast(Mapping[Any, Any], data).get("kind")
        return with_article(kind[:40]) if isinstance(kind, str) else "an object"
    if isinstance(data, list | tuple):
        return "an array"
    shown = short_repr(data, 40)
    return {"None": "null", "True": "true", "False": "false"}.get(shown, shown)


def with_article(kind: str) -> str:
    """Return the name of a kind with "a" or "an" before it."""
    return f"an {kind}" if kind.startswith(("a", "e", "i", "un")) else f"a {kind}"
