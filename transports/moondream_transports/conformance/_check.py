"""Run the cases, and watch meanwhile what no case asks for: sockets and tasks that stay, warnings,
and the key in a log.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from time import monotonic

from moondream_transports import AsyncTransport, Transport
from moondream_transports._concurrency import in_trio

from ._backend import Backend, run_without_a_loop
from ._case import Case, Unexpected, in_words, shortened
from ._connecting_cases import connecting_cases
from ._contract_cases import contract_cases
from ._descriptors import open_sockets
from ._fault_cases import fault_cases
from ._fault_server import PATIENCE
from ._http_cases import http_cases
from ._leaving_cases import leaving_cases
from ._report import CaseReport, Report, TransportFailed, Verdict
from ._secrets import KEY, logged

Factory = Callable[..., Transport | AbstractContextManager[Transport]]
AsyncFactory = Callable[..., AsyncTransport | AbstractAsyncContextManager[AsyncTransport]]

CASES: Sequence[Case] = (
    *contract_cases(),
    *connecting_cases(),
    *fault_cases(),
    *http_cases(),
    *leaving_cases(is_async=False),
)
"""What `check_transport` checks."""

ASYNC_CASES: Sequence[Case] = (
    *contract_cases(),
    *connecting_cases(),
    *fault_cases(),
    *http_cases(),
    *leaving_cases(is_async=True),
)
"""What `check_async_transport` checks."""


def check_transport(
    factory: Factory,
    *,
    known_failures: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
    patience: float = PATIENCE,
) -> Report:
    """Examine a `Transport`: every fault, and every point of the contract.

    `factory` makes a new transport, or a context manager of one, for each case. It should be closed
    with its `with` block, or by `close()` if it has that. Where the factory has these keyword
    arguments, they are used for the cases that need them: `proxy`, the URL of an HTTP proxy; and
    either `ssl_context`, or `ca_file`, the path of a PEM file, with whom to trust instead of the
    system's authorities.

    `known_failures` has the cases that a library cannot be made to pass, by their id, each with the
    reason. `only` has the ids of the cases to check, instead of all. After `patience` seconds the
    server hangs up on a transport that hangs.

    Returns a `Report` of all cases. Raises TransportFailed, an AssertionError, with what was sent,
    expected and seen in each case that failed. A case that was declared and passed does not fail:
    see `Verdict.STALE`. Raises ValueError for ids that are no cases."""
    chosen = _chosen(CASES, known_failures, only)
    return run_without_a_loop(
        _check(Backend("sync", factory, patience), chosen, known_failures or {})
    )


async def check_async_transport(
    factory: AsyncFactory,
    *,
    known_failures: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
    patience: float = PATIENCE,
) -> Report:
    """Examine an `AsyncTransport`, in the event loop that is running: asyncio or trio. All as in
    `check_transport`.

    The factory's context manager, if it makes one, is to be used with `async with`; without one,
    `aclose()` is called."""
    chosen = _chosen(ASYNC_CASES, known_failures, only)
    return await _check(
        Backend("trio" if in_trio() else "asyncio", factory, patience), chosen, known_failures or {}
    )


def _chosen(
    cases: Sequence[Case], known_failures: Mapping[str, str] | None, only: Iterable[str] | None
) -> list[Case]:
    wanted = None if only is None else list(only)
    known = {case.id for case in cases}
    for name in [*(known_failures or {}), *(wanted or [])]:
        if name not in known:
            raise ValueError(
                f"there is no case {name!r}; their ids are in {'CASES' if cases is CASES else 'ASYNC_CASES'}"
            )
    for name, reason in (known_failures or {}).items():
        if not reason:
            raise ValueError(f"known_failures should say why the case {name!r} cannot be told")
    return [case for case in cases if wanted is None or case.id in wanted]


async def _check(
    backend: Backend, cases: Iterable[Case], known_failures: Mapping[str, str]
) -> Report:
    report = Report(
        tuple([await _report_of(case, backend, known_failures.get(case.id)) for case in cases])
    )
    if report.of(Verdict.FAILED):
        raise TransportFailed(report)
    return report


async def _report_of(case: Case, backend: Backend, declared: str | None) -> CaseReport:
    for reason in map(backend.lacks, case.needs):
        if reason is not None:
            return CaseReport(case.id, Verdict.NOT_CHECKED, reason)
    try:
        told = await _watched(case.check, backend)
    except Unexpected as failure:
        verdict = Verdict.FAILED if declared is None else Verdict.KNOWN_FAILURE
        return CaseReport(
            case.id, verdict, declared or "", failure.expected, failure.came, failure.server
        )
    return (
        CaseReport(case.id, Verdict.PASSED, told or "")
        if declared is None
        else CaseReport(case.id, Verdict.STALE, declared)
    )


async def _watched(
    check: Callable[[Backend], Awaitable[str | None]], backend: Backend
) -> str | None:
    sockets, tasks = open_sockets(), backend.tasks()
    with warnings.catch_warnings(record=True) as warned, logged() as log:
        for category in (
            ResourceWarning,
            RuntimeWarning,
        ):  # something was left open, or never awaited
            warnings.simplefilter("always", category)
        try:
            told = await check(backend)
        except Unexpected:
            raise
        except Exception as error:
            raise Unexpected("no error here", in_words(error)) from error
        finally:
            await _until_nothing_is_left(backend, sockets, tasks)
    if left := open_sockets() - sockets:
        raise Unexpected(
            "every socket to be closed when the transport is", f"{len(left)} still open"
        )
    if left := backend.tasks() - tasks:
        raise Unexpected("no task to be left when the transport is closed", shortened(left))
    for warning in warned:
        if issubclass(warning.category, ResourceWarning | RuntimeWarning):
            raise Unexpected("no warning", f"{warning.category.__name__}: {warning.message}")
    for record in log:
        text = logging.Formatter().format(record)
        if KEY in text:
            raise Unexpected(
                "the API key not to be in any log",
                f"it in a record of {record.name!r}: {shortened(text)}",
            )
        if record.name == "asyncio" and record.levelno >= logging.ERROR:
            raise Unexpected("nothing for the event loop to complain of", shortened(text))
    return told


async def _until_nothing_is_left(
    backend: Backend, sockets: set[tuple[int, int]], tasks: set[object]
) -> None:
    end = monotonic() + backend.at_once
    while (open_sockets() - sockets or backend.tasks() - tasks) and monotonic() < end:
        await backend.sleep(0.001)
