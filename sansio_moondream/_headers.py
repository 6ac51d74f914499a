"""HTTP header fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, cast

_NAMES = """
    access-control-allow-origin alt-svc cache-control cf-cache-status cf-ray connection
    content-encoding content-length content-type date keep-alive location retry-after server
    set-cookie strict-transport-security transfer-encoding vary via x-request-id
"""
_USUAL = {name: name for name in _NAMES.split()}
"""Usual names, each as one object: many responses have them. Names are not interned, as on CPython
3.12 a server could fill the memory with them for ever."""

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_Pairs = Iterable[tuple[str | bytes, str | bytes]]


class _HasItems(Protocol):
    """A mapping, or what HTTP libraries have instead: `http.client` an `email.message.Message`."""

    def items(self) -> _Pairs: ...


HeaderTypes = _HasItems | _Pairs


class Headers(Mapping[str, str]):
    """Header fields of a response: a read-only mapping with case-insensitive names.

    The values of a repeated field are joined with ", " (RFC 9110, section 5.3); `multi_items()`
    returns them apart. The repr has no values, as they may be cookies.

    Args:
        items: a mapping, or pairs of names and values, each str or bytes.
    """

    __slots__ = ("_items",)
    _items: tuple[tuple[str, str], ...]

    def __init__(self, items: HeaderTypes = ()) -> None:
        if isinstance(items, Headers):
            self._items = items._items
            return
        pairs = cast(_HasItems, items).items() if hasattr(items, "items") else cast(_Pairs, items)
        self._items = tuple(
            (_USUAL.get(key := _text(name).lower(), key), _text(value).strip(" \t"))
            for name, value in pairs
        )

    def multi_items(self) -> tuple[tuple[str, str], ...]:
        """Return all fields in their order, names in lower case."""
        return self._items

    def __getitem__(self, name: str) -> str:
        wanted = name.lower()
        values = [value for key, value in self._items if key == wanted]
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._items))

    def __len__(self) -> int:
        return len({name for name, _ in self._items})

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._items)

    def __reduce__(self) -> tuple[type[Headers], tuple[tuple[tuple[str, str], ...]]]:
        return Headers, (self._items,)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self)}>"


def retry_after(headers: Headers) -> float | None:
    """Return the seconds of `Retry-After-Ms` or `Retry-After`. None: it has none, or a date."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        value = headers.get(name, "")
        if _NUMBER.fullmatch(value):
            return float(value) / per_second
    return None


def _text(value: str | bytes) -> str:
    """Decode a field name or value. ISO-8859-1 keeps every octet (RFC 9110, section 5.5)."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise TypeError(f"header names and values are str or bytes, not {type(value).__name__}")
    return value
