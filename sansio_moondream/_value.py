"""The JSON form of values: `to_dict`, `from_dict`, and the schema of a class.

1. The form is derived from the annotations of a class: its public attributes, in their order. They
   are the only source of what is written, of what is read, and of the schema. Where an annotation
   says what a constructor accepts, and not what is stored, it has the stored type in `Stored`.
2. A value begins with its `kind` and the `version` of the form. Inside another value it has only
   its `kind` where values of several classes may stand, and neither of them elsewhere.
3. Every field is always there, and no other is: a reader may rely on it.
4. A change of a field, of its name or of its type makes a new version, and `from_dict` keeps
   reading the older ones. A new kind changes no other, and makes none.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from functools import cache, cached_property
from inspect import cleandoc
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from ._forms import (
    FORMS,
    Array,
    Choice,
    Definitions,
    Form,
    Schema,
    Union,
    finite,
    mismatch,
    with_article,
)
from ._repr import short_repr

VERSION = 1
_MAX_UNKNOWN = 10  # fields that an error shows
_WORD_BORDER = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z]{2})(?=[A-Z][a-z])")


class Stored(NamedTuple):
    """Beside an annotation: the type of what is stored, if the constructor accepts others."""

    type_: Any


class Value:
    """Base of all values that have a form in JSON: events, results, requests, errors, their parts.

    `sansio_moondream.from_dict` reads any of them, and `sansio_moondream.json_schema` describes
    them.
    """

    __slots__ = ()
    __derived__: ClassVar[tuple[str, ...]] = ()
    """Properties that are in the form as well, for readers in other languages."""

    def to_dict(self) -> dict[str, Any]:
        """Return the value as a dict of plain JSON types, for `json.dumps` and the like.

        It has the value's `kind`, the `version` of the form, and each field, with None where
        nothing is known. A number that is not finite becomes None, as JSON has none.

        Raises:
            TypeError: an attribute is not of the type that its annotation says, or JSON has no such
                value.
        """
        return whole_form(type(self)).encode(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make a value of this class from `data`, its `to_dict()`.

        Raises:
            ValueError: `data` is of another kind or version; a field is missing, unknown or of
                another type; or the class refuses its value.
        """
        form = whole_form(cls)
        if not form.reads(data):
            mismatch("the value", form.words, data)
        check_version(data)
        value: Self = form.decode(data, kind_of(cls))
        return value


class Object:
    """The form of a class.

    Args:
        class_: a subclass of `Value`.
        prefix: begins the names of definitions.
        head: the fields before those of the class.
    """

    def __init__(self, class_: type[Value], prefix: str, head: Mapping[str, Any]) -> None:
        self._class = class_
        self._prefix = prefix
        self._head = head
        self.plain_types = frozenset[type]()
        self.words = with_article(kind_of(class_))

    @cached_property
    def _fields(self) -> dict[str, Form]:
        # Annotations may name classes that are defined later, so we resolve them at the first use.
        types = get_type_hints(self._class, include_extras=True)
        fields = {
            name: _form_of(type_)
            for name, type_ in types.items()
            if not name.startswith("_") and get_origin(type_) is not ClassVar
        }
        for name in self._class.__derived__:
            getter: property = getattr(self._class, name)
            fields[name] = _form_of(get_type_hints(getter.fget)["return"])
        return fields

    @cached_property
    def _plan(self) -> tuple[tuple[str, Form, frozenset[type]], ...]:
        """The fields as `encode` needs them."""
        return tuple((name, form, form.plain_types) for name, form in self._fields.items())

    def holds(self, value: Any) -> bool:
        return isinstance(value, self._class)

    def reads(self, data: Any) -> bool:
        if not isinstance(data, Mapping):
            return False
        kind = self._head.get("kind")
        return kind is None or cast(Mapping[str, Any], data).get("kind") == kind

    def encode(self, value: Any) -> dict[str, Any]:
        encoded = dict(self._head)
        for name, form, plain_types in self._plan:
            item = getattr(value, name)
            if type(item) in plain_types:
                encoded[name] = finite(item) if type(item) is float else item
            elif form.holds(item):
                encoded[name] = form.encode(item)
            else:
                where = f"{self._class.__name__}.{name}"
                raise TypeError(f"{where} should be {form.words}, not {type(item).__name__}")
        return encoded

    def decode(self, data: Any, name: str) -> Any:
        if not self.reads(data):
            mismatch(name, self.words, data)
        given = cast(Mapping[str, Any], data)
        _check_names(given, [*self._head, *self._fields], name)
        fields = {
            field: form.decode(given[field], f"{name}.{field}")
            for field, form in self._fields.items()
        }
        for field in self._class.__derived__:
            del fields[field]
        try:
            return self._class(**fields)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None

    def schema(self, definitions: Definitions) -> Schema:
        name = self._prefix + kind_of(self._class)
        if name not in definitions:
            properties: dict[str, Schema] = {
                field: {"const": value} for field, value in self._head.items()
            }
            definitions[name] = {
                "description": cleandoc(self._class.__doc__ or "").partition("\n\n")[0],
                "type": "object",
                "properties": properties,
                "required": [*self._head, *self._fields],
                "additionalProperties": False,
            }
            for field, form in self._fields.items():
                properties[field] = form.schema(definitions)
        return {"$ref": f"#/$defs/{name}"}


def whole_form(class_: type[Value]) -> Object:
    """Return the form of values of a class that stand alone."""
    form = _whole_forms.get(class_)
    if form is None:
        head = {"kind": kind_of(class_), "version": VERSION}
        form = _whole_forms[class_] = Object(class_, "", head)
    return form


_whole_forms: dict[type[Value], Object] = {}


def kind_of(class_: type[Value]) -> str:
    """Return the name of a class in JSON: `text_delta`, `bbox`, `tls_error`."""
    return _WORD_BORDER.sub("_", class_.__name__).lower()


def check_version(data: Mapping[str, Any]) -> None:
    """Check the version of the form of a value.

    Raises:
        ValueError: it is missing, or this release does not read it.
    """
    version = data.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(
            f"the value has version {short_repr(version, 40)} of the JSON form, and this release "
            f"of sansio-moondream reads version {VERSION}: install a newer one"
        )
    if isinstance(version, bool) or version != VERSION:
        mismatch("version", str(VERSION), version)


def _check_names(given: Mapping[str, Any], expected: list[str], name: str) -> None:
    missing = [field for field in expected if field not in given]
    unknown = [_field_name(field) for field in given if field not in expected]
    if len(unknown) > _MAX_UNKNOWN:
        unknown[_MAX_UNKNOWN:] = [f"and {len(unknown) - _MAX_UNKNOWN} more"]
    faults = [
        f"{words}: {', '.join(fields)}"
        for words, fields in (("missing", missing), ("unknown", unknown))
        if fields
    ]
    if faults:
        raise ValueError(f"{name} should have exactly its fields ({'; '.join(faults)})")


def _field_name(field: object) -> str:
    is_plain = isinstance(field, str) and field.isprintable()
    return cast(str, field)[:40] if is_plain else short_repr(field, 40)


@cache
def _form_of(type_: Any) -> Form:
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (UnionType, typing.Union):
        has_kinds = sum(map(_is_value, arguments)) > 1
        return Union([_option(argument, has_kinds) for argument in arguments])
    if origin is Literal:
        return Choice(arguments)
    if origin is Annotated:
        stored = (note.type_ for note in arguments if isinstance(note, Stored))
        return _form_of(next(stored, arguments[0]))
    if origin is tuple:
        return Array(_form_of(arguments[0]))
    if origin is dict:
        return FORMS[dict]
    return Object(type_, "nested_", {}) if _is_value(type_) else FORMS[type_]


def _option(type_: Any, has_kinds: bool) -> Form:
    if has_kinds and _is_value(type_):
        return Object(type_, "tagged_", {"kind": kind_of(type_)})
    return _form_of(type_)


def _is_value(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Value)
