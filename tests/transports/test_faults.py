"""Every transport of ours passes every case of the conformance suite.

The limits of their libraries are declared.
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
_BANNER = "5: server sends a banner without a blank line, then nothing"
_NEVER_RETRIEVED = (
    "before 3.14 it leaves the failure of its last write to the log of the event loop"
)
_EARLY_413 = "36: server answers 413 before it has read the request"
_SECOND_ANSWER = "33: server sends a second answer behind the first"
_SAME_LENGTH = "34: server sends the same length twice, to be accepted"
HTTPX = ("httpx2", "httpx", "httpx2-asyncio", "httpx2-trio", "httpx-asyncio")


class Limit(NamedTuple):
    """What the library under a transport cannot report, and what the case sees instead.

    With `depends` it depends on the segments of TCP, a race, or the version, and may not show.
    """

    reason: str
    instead: str | tuple[str, ...]
    depends: bool = False


# By case and transport. docs/how-to/transports.md has more.
LIMITS_OF_LIBRARIES: dict[tuple[str, str], Limit] = {
    (_EARLY_413, "httpx2-asyncio"): Limit(_ASYNCIO, "no event, then ConnectionLost"),
    (_EARLY_413, "httpx-asyncio"): Limit(_ASYNCIO, "no event, then ConnectionLost"),
    (_EARLY_413, "aiohttp"): Limit(
        f"{_ASYNCIO}; {_NEVER_RETRIEVED}",
        ("no event, then ConnectionLost", "Future exception was never retrieved"),
        depends=True,
    ),
    (_SAME_LENGTH, "aiohttp"): Limit(
        "its parser refuses a header twice that may be there once", "RemoteProtocolError"
    ),
    ("15: server sends garbage after the end of stream", "aiohttp"): Limit(
        _HIDDEN,
        ("no event, then RemoteProtocolError", "no event, then ConnectionLost"),
        depends=True,
    ),
    ("cancelled: while sending the request", "aiohttp"): Limit(
        _NEVER_RETRIEVED, "Future exception was never retrieved", depends=True
    ),
    **{
        (_BANNER, library): Limit(
            "its parser waits for the blank line of the head", "no event, then FirstEventTimeout"
        )
        for library in HTTPX
    },
    **{
        (_SECOND_ANSWER, library): Limit(
            "its parser keeps what comes behind an answer for the next one",
            "'stray', in exchange 2",
        )
        for library in HTTPX
    },
    **{
        (f"7: server sends {size} as the size of a chunk", "aiohttp"): Limit(
            _HIDDEN, f"[], then {instead}", depends=True
        )
        for size, instead in {
            "zz": "RemoteProtocolError",
            "-5": "RemoteProtocolError",
            "an empty line": "ConnectionLost",
            "200,000 digits": "RemoteProtocolError",
        }.items()
    },
}
# The suite only reports whether connections are used again. Ours must be.
KEPT = {
    "33: server answers 50 requests": "50 exchanges on 1 connection",
    "wire: the request has no header too many and none too few": "Connection: keep-alive",
}
PAIRS = [
    (case, adapter) for adapter in ADAPTERS for case in (ASYNC_CASES if adapter.is_async else CASES)
]


def marks(adapter: Adapter) -> list[pytest.MarkDecorator]:
    """httpx, which httpx2 came from, is slow: its adapter is that of httpx2."""
    return [pytest.mark.slow] * (adapter.name in ("httpx", "httpx-asyncio"))


@pytest.mark.parametrize(
    ("case", "adapter"),
    [
        pytest.param(case, adapter, id=f"{case.id}-{adapter.name}", marks=marks(adapter))
        for case, adapter in PAIRS
    ],
)
def test_case(case: Case, adapter: Adapter, request: pytest.FixtureRequest) -> None:
    limit = LIMITS_OF_LIBRARIES.get((case.id, adapter.name))
    known_failures = {} if limit is None else {case.id: limit.reason}
    if case.id in KEPT:
        request.getfixturevalue("patient_drain")

    async def main():
        if adapter.is_async:
            return await check_async_transport(
                adapter.factory, only=[case.id], known_failures=known_failures
            )
        return check_transport(adapter.factory, only=[case.id], known_failures=known_failures)

    # asyncio's debug mode takes twice the time. It is on in all other tests of the transports.
    (report,) = adapter.run(main, debug=False)
    if limit is None:
        assert report.verdict is Verdict.PASSED, report
    elif report.verdict is not Verdict.STALE or not limit.depends:
        assert report.verdict is Verdict.KNOWN_FAILURE, report
        assert report.seen.startswith(limit.instead)
    if (kept := KEPT.get(case.id)) is not None:
        assert report.reason == kept
