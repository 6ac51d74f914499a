"""Every transport of ours passes the conformance kit: each case on each, with what their libraries
cannot tell declared.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from moondream_transports.conformance import (
    ASYNC_CASES,
    CASES,
    Case,
    Verdict,
    check_async_transport,
    check_transport,
)

from .adapters import ADAPTERS, Adapter

_ASYNCIO = "when a write fails, asyncio drops what was not read"
_HIDDEN = "a fault in the segment of the head hides both"
_EARLY_413 = "36: 413 before it has read the request"
_SAME_LENGTH = "34: the same length twice, taken"


class Limit(NamedTuple):
    """What the library under a transport cannot be made to report, and what comes instead.

    One that `depends` on how the network cuts what is sent, or on who is first, may not show."""

    reason: str
    instead: str
    depends: bool = False


# By case and transport. docs/transports.md has more.
LIMITS_OF_LIBRARIES: dict[tuple[str, str], Limit] = {
    (_EARLY_413, "httpx2-asyncio"): Limit(_ASYNCIO, "no event, then ConnectionLost"),
    (_EARLY_413, "httpx-asyncio"): Limit(_ASYNCIO, "no event, then ConnectionLost"),
    (_EARLY_413, "aiohttp"): Limit(_ASYNCIO, "no event, then ConnectionLost", depends=True),
    (_SAME_LENGTH, "aiohttp"): Limit(
        "its parser refuses a header twice that may be there once", "RemoteProtocolError"
    ),
    ("15: end of stream, then garbage", "aiohttp"): Limit(
        _HIDDEN, "no event, then RemoteProtocolError", depends=True
    ),
    **{
        (f"7: chunk with a broken size, {size}", "aiohttp"): Limit(
            _HIDDEN, "[], then RemoteProtocolError", depends=True
        )
        for size in ("zz", "-5", "blank", "long")
    },
}
# The kit only reports whether connections are used again; ours have to.
KEPT = {
    "33: 50 exchanges": "50 exchanges on 1 connection",
    "wire: the request is what it should be": "Connection: keep-alive",
}
PAIRS = [
    (case, adapter) for adapter in ADAPTERS for case in (ASYNC_CASES if adapter.is_async else CASES)
]


@pytest.mark.parametrize(
    ("case", "adapter"), PAIRS, ids=[f"{case.id}-{adapter.name}" for case, adapter in PAIRS]
)
def test_case(case: Case, adapter: Adapter) -> None:
    limit = LIMITS_OF_LIBRARIES.get((case.id, adapter.name))
    known_failures = {} if limit is None else {case.id: limit.reason}

    async def main():
        if adapter.is_async:
            return await check_async_transport(
                adapter.factory, only=[case.id], known_failures=known_failures
            )
        return check_transport(adapter.factory, only=[case.id], known_failures=known_failures)

    (became,) = adapter.run(main)
    if limit is None:
        assert became.verdict is Verdict.PASSED, became
    elif became.verdict is not Verdict.STALE or not limit.depends:
        assert became.verdict is Verdict.KNOWN_FAILURE, became
        assert became.came.startswith(limit.instead)
    if (kept := KEPT.get(case.id)) is not None:
        assert became.reason == kept
