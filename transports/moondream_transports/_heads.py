"""What HTTP libraries let pass in the head of a response."""

from __future__ import annotations

from sansio_moondream import Headers


def has_two_ends(headers: Headers) -> bool:
    """Return whether a head is ambiguous about the length of its body.

    Responses are smuggled so. Some HTTP libraries choose one end, and use the connection again.
    """
    lengths = {length.strip() for length in headers.get("content-length", "").split(",")} - {""}
    return len(lengths) > 1 or bool(lengths and "transfer-encoding" in headers)
