"""Every transport of ours passes the conformance kit: each case on each, with what their libraries
cannot tell declared.
"""

from __future__ import annotations

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
_EARLY_413 = "36: 413 before it has read the request"
_SAME_LENGTH = "34: the same length twice, taken"

# (case, transport): why not, where the library under it cannot be made to tell, and what comes
# instead. docs/transports.md has more.
LIMITS_OF_LIBRARIES: dict[tuple[str, str], tuple[str, str]] = {
    (_EARLY_413, "httpx2-asyncio"): (_ASYNCIO, "no event, then ConnectionLost"),
    (_EARLY_413, "httpx-asyncio"): (_ASYNCIO, "no event, then ConnectionLost"),
    (_SAME_LENGTH, "aiohttp"): (
        "its parser refuses a header twice that may be there once",
        "RemoteProtocolError",
    ),
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
    reason, instead = LIMITS_OF_LIBRARIES.get((case.id, adapter.name), (None, ""))
    known_failures = {} if reason is None else {case.id: reason}

    async def main():
        if adapter.is_async:
            return await check_async_transport(
                adapter.factory, only=[case.id], known_failures=known_failures
            )
        return check_transport(adapter.factory, only=[case.id], known_failures=known_failures)

    (became,) = adapter.run(main)
    assert became.verdict is (Verdict.PASSED if reason is None else Verdict.KNOWN_FAILURE), became
    assert became.came.startswith(instead)
    if (kept := KEPT.get(case.id)) is not None:
        assert became.reason == kept
