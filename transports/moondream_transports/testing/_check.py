"""Run the rows, and watch meanwhile what no row asks for: sockets and tasks that stay, warnings, and the key in a log."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from time import monotonic

from moondream_transports import AsyncTransport, Transport
from moondream_transports._event_loop import in_trio

from ._connecting_rows import connecting_rows
from ._contract_rows import contract_rows
from ._descriptors import open_sockets
from ._fault_rows import fault_rows
from ._fault_server import PATIENCE
from ._http_rows import http_rows
from ._leaving_rows import leaving_rows
from ._report import Report, RowReport, TransportFailed, Verdict
from ._row import Row, Unexpected, in_words, shortened
from ._secrets import KEY, logged
from ._side import Side, run_without_a_loop

Factory = Callable[..., Transport | AbstractContextManager[Transport]]
AsyncFactory = Callable[..., AsyncTransport | AbstractAsyncContextManager[AsyncTransport]]

ROWS: Sequence[Row] = (*contract_rows(), *connecting_rows(), *fault_rows(), *http_rows(), *leaving_rows(is_async=False))
"""What `check_transport` checks."""

ASYNC_ROWS: Sequence[Row] = (*contract_rows(), *connecting_rows(), *fault_rows(), *http_rows(), *leaving_rows(is_async=True))
"""What `check_async_transport` checks."""


def check_transport(
    factory: Factory, *, cannot_tell: Mapping[str, str] | None = None, only: Iterable[str] | None = None, patience: float = PATIENCE
) -> Report:
    """Examine a `Transport`: every fault, and every point of the contract.

    `factory` makes a new transport, or a context manager of one, for each row. It should be closed with its `with` block, or by `close()`
    if it has that. Where the factory has these keyword arguments, they are used for the rows that need them: `proxy`, the URL of an
    HTTP proxy; and either `ssl_context`, or `ca_file`, the path of a PEM file, with whom to trust instead of the system's authorities.

    `cannot_tell` has the rows that a library cannot be made to pass, by their id, each with the reason. `only` has the ids of the rows
    to check, instead of all. After `patience` seconds the server hangs up on a transport that hangs.

    Returns a `Report` of all rows. Raises TransportFailed, an AssertionError, with what was sent, expected and seen in each row that
    failed. A row that was declared and passed does not fail: see `Verdict.STALE`. Raises ValueError for ids that are no rows.
    """
    chosen = _chosen(ROWS, cannot_tell, only)
    return run_without_a_loop(_check(Side("sync", factory, patience), chosen, cannot_tell or {}))


async def check_async_transport(
    factory: AsyncFactory, *, cannot_tell: Mapping[str, str] | None = None, only: Iterable[str] | None = None, patience: float = PATIENCE
) -> Report:
    """Examine an `AsyncTransport`, in the event loop that is running: asyncio or trio. All as in `check_transport`.

    The factory's context manager, if it makes one, is to be used with `async with`; without one, `aclose()` is called.
    """
    chosen = _chosen(ASYNC_ROWS, cannot_tell, only)
    return await _check(Side("trio" if in_trio() else "asyncio", factory, patience), chosen, cannot_tell or {})


def _chosen(rows: Sequence[Row], cannot_tell: Mapping[str, str] | None, only: Iterable[str] | None) -> list[Row]:
    wanted = None if only is None else list(only)
    known = {row.id for row in rows}
    for name in [*(cannot_tell or {}), *(wanted or [])]:
        if name not in known:
            raise ValueError(f"there is no row {name!r}; their ids are in {'ROWS' if rows is ROWS else 'ASYNC_ROWS'}")
    for name, reason in (cannot_tell or {}).items():
        if not reason:
            raise ValueError(f"cannot_tell should say why the row {name!r} cannot be told")
    return [row for row in rows if wanted is None or row.id in wanted]


async def _check(side: Side, rows: Iterable[Row], cannot_tell: Mapping[str, str]) -> Report:
    report = Report(tuple([await _report_of(row, side, cannot_tell.get(row.id)) for row in rows]))
    if report.of(Verdict.FAILED):
        raise TransportFailed(report)
    return report


async def _report_of(row: Row, side: Side, declared: str | None) -> RowReport:
    for reason in map(side.lacks, row.needs):
        if reason is not None:
            return RowReport(row.id, Verdict.NOT_CHECKED, reason)
    try:
        told = await _watched(row.check, side)
    except Unexpected as failure:
        verdict = Verdict.FAILED if declared is None else Verdict.CANNOT_TELL
        return RowReport(row.id, verdict, declared or "", failure.expected, failure.came, failure.server)
    return RowReport(row.id, Verdict.PASSED, told or "") if declared is None else RowReport(row.id, Verdict.STALE, declared)


async def _watched(check: Callable[[Side], Awaitable[str | None]], side: Side) -> str | None:
    sockets, tasks = open_sockets(), side.tasks()
    with warnings.catch_warnings(record=True) as warned, logged() as log:
        for category in (ResourceWarning, RuntimeWarning):  # something was left open, or never awaited
            warnings.simplefilter("always", category)
        try:
            told = await check(side)
        except Unexpected:
            raise
        except Exception as error:
            raise Unexpected("no error here", in_words(error)) from error
        finally:
            await _until_nothing_is_left(side, sockets, tasks)
    if left := open_sockets() - sockets:
        raise Unexpected("every socket to be closed when the transport is", f"{len(left)} still open")
    if left := side.tasks() - tasks:
        raise Unexpected("no task to be left when the transport is closed", shortened(left))
    for warning in warned:
        if issubclass(warning.category, ResourceWarning | RuntimeWarning):
            raise Unexpected("no warning", f"{warning.category.__name__}: {warning.message}")
    for record in log:
        text = logging.Formatter().format(record)
        if KEY in text:
            raise Unexpected("the API key not to be in any log", f"it in a record of {record.name!r}: {shortened(text)}")
        if record.name == "asyncio" and record.levelno >= logging.ERROR:
            raise Unexpected("nothing for the event loop to complain of", shortened(text))
    return told


async def _until_nothing_is_left(side: Side, sockets: set[tuple[int, int]], tasks: set[object]) -> None:
    end = monotonic() + side.at_once
    while (open_sockets() - sockets or side.tasks() - tasks) and monotonic() < end:
        await side.sleep(0.001)
