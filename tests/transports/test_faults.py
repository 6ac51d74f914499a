"""Every transport of ours passes the conformance kit: each row on each, with what their libraries cannot tell declared."""

from __future__ import annotations

import pytest

from moondream_transports.testing import ASYNC_ROWS, ROWS, Row, Verdict, check_async_transport, check_transport

from .drivers import DRIVERS, Driver

_ASYNCIO = "when a write fails, asyncio drops what was not read"
_EARLY_413 = "36: 413 before it has read the request"
_SAME_LENGTH = "34: the same length twice, taken"

# (row, transport): why not, where the library under it cannot be made to tell, and what comes instead. docs/transports.md has more.
LIMITS_OF_LIBRARIES: dict[tuple[str, str], tuple[str, str]] = {
    (_EARLY_413, "httpx2-asyncio"): (_ASYNCIO, "no event, then ConnectionLost"),
    (_EARLY_413, "httpx-asyncio"): (_ASYNCIO, "no event, then ConnectionLost"),
    (_SAME_LENGTH, "aiohttp"): ("its parser refuses a header twice that may be there once", "RemoteProtocolError"),
}
# The kit only reports whether connections are used again; ours have to, where they say so.
KEPT = {
    "33: 50 exchanges": ("50 exchanges on 50 connections", "50 exchanges on 1 connection"),
    "wire: the request is what it should be": ("Connection: close", "Connection: keep-alive"),
}
CASES = [(row, driver) for driver in DRIVERS for row in (ASYNC_ROWS if driver.is_async else ROWS)]


@pytest.mark.parametrize(("row", "driver"), CASES, ids=[f"{row.id}-{driver.name}" for row, driver in CASES])
def test_row(row: Row, driver: Driver) -> None:
    reason, instead = LIMITS_OF_LIBRARIES.get((row.id, driver.name), (None, ""))
    cannot_tell = {} if reason is None else {row.id: reason}

    async def main():
        if driver.is_async:
            return await check_async_transport(driver.factory, only=[row.id], cannot_tell=cannot_tell)
        return check_transport(driver.factory, only=[row.id], cannot_tell=cannot_tell)

    (became,) = driver.run(main)
    assert became.verdict is (Verdict.PASSED if reason is None else Verdict.CANNOT_TELL), became
    assert became.came.startswith(instead)
    if (kept := KEPT.get(row.id)) is not None:
        assert became.reason == kept[driver.pools]
