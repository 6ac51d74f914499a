"""Run the cases on a transport.

Every case is also watched for what no single case is about: sockets and tasks that are left,
warnings, and the API key in a log.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from inspect import iscoroutinefunction
from time import monotonic

from moondream_transports import AsyncTransport, Transport
from moondream_transports._concurrency import in_trio

from ._backend import Backend, run_without_a_loop
from ._case import Case
from ._connecting_cases import connecting_cases
from ._contract_cases import contract_cases
from ._descriptors import open_sockets
from ._expect import Unexpected, describe, shortened
from ._fault_cases import fault_cases
from ._fault_server import TIMEOUT
from ._http_cases import http_cases
from ._leaving_cases import leaving_cases
from ._progress import progress
from ._report import CaseReport, Report, TransportFailed, Verdict
from ._reuse_cases import reuse_cases
from ._secrets import KEY, logged, masked

_SYNC, _ASYNC = "check_transport", "check_async_transport"

Factory = Callable[..., Transport | AbstractContextManager[Transport]]
AsyncFactory = Callable[..., AsyncTransport | AbstractAsyncContextManager[AsyncTransport]]


def _all_cases(is_async: bool) -> tuple[Case, ...]:
    return (
        *contract_cases(),
        *connecting_cases(),
        *fault_cases(),
        *http_cases(),
        *reuse_cases(),
        *leaving_cases(is_async),
    )


CASES: Sequence[Case] = _all_cases(is_async=False)
"""The cases of `check_transport`."""

ASYNC_CASES: Sequence[Case] = _all_cases(is_async=True)
"""The cases of `check_async_transport`."""


def check_transport(
    factory: Factory,
    *,
    known_failures: Mapping[str, str] | None = None,
    only: str | Iterable[str] | None = None,
    timeout: float = TIMEOUT,
) -> Report:
    """Check a `Transport` against every fault, and against every point of the contract.

    A terminal on stderr shows the progress in one line.

    Args:
        factory: Makes a new transport, or a context manager of one, for each case. A transport is
            closed by its `with` block, or by `close()` if it has that method. The cases that need
            it pass keyword arguments, if the factory takes them: `proxy`, the URL of an HTTP
            proxy; and `ssl_context`, or `ca_file`, the path of a PEM file, with the authorities
            to trust instead of the system's.
        known_failures: The ids of the cases that the HTTP library cannot pass, each with the
            reason. These cases run too. One that passes gets `Verdict.STALE`.
        only: The cases to run: ids, or globs such as "8: *".
        timeout: Seconds after which the server closes the connection of a transport that hangs.

    Returns:
        The outcome of every case.

    Raises:
        TransportFailed: Cases failed. It is an AssertionError, and its message says for each what
            the server did, what was expected, what was seen, and where the transport raised it.
        TypeError: `factory` is a transport instead of a factory, or makes async transports.
        ValueError: No case has this id, or a known failure has no reason.
    """
    _require_factory(factory, _SYNC)
    chosen = _chosen(CASES, known_failures or {}, only)
    backend = Backend("sync", factory, timeout)
    return run_without_a_loop(_check(backend, chosen, known_failures or {}))


async def check_async_transport(
    factory: AsyncFactory,
    *,
    known_failures: Mapping[str, str] | None = None,
    only: str | Iterable[str] | None = None,
    timeout: float = TIMEOUT,
) -> Report:
    """Check an `AsyncTransport` in the running event loop, of asyncio or trio.

    Args:
        factory: As in `check_transport`. A transport is closed by its `async with` block, or by
            `aclose()` if it has that method.
        known_failures: As in `check_transport`.
        only: As in `check_transport`.
        timeout: As in `check_transport`.

    Returns:
        The outcome of every case.

    Raises:
        TransportFailed: As in `check_transport`. So are TypeError and ValueError.
    """
    _require_factory(factory, _ASYNC)
    chosen = _chosen(ASYNC_CASES, known_failures or {}, only)
    backend = Backend("trio" if in_trio() else "asyncio", factory, timeout)
    return await _check(backend, chosen, known_failures or {})


def _require_factory(factory: object, function: str) -> None:
    send = getattr(factory, "send", None)
    if isinstance(factory, type) and send is not None:
        right = _ASYNC if iscoroutinefunction(send) else _SYNC
        if right != function:
            raise TypeError(f"{factory.__name__} is checked with {right}, not with {function}")
    elif not callable(factory) or send is not None:
        name = type(factory).__name__
        raise TypeError(
            f"{function} needs a factory that makes a new transport for each case, such as a class"
            f" or a function; this is an instance of {name}: use {function}(lambda: {name}(...))"
        )


def _chosen(
    cases: Sequence[Case], known_failures: Mapping[str, str], only: str | Iterable[str] | None
) -> list[Case]:
    where = "CASES" if cases is CASES else "ASYNC_CASES"
    ids = [case.id for case in cases]
    for name, reason in known_failures.items():
        if name not in ids:
            raise ValueError(_unknown(name, ids, where))
        if not reason:
            raise ValueError(f"known_failures should say why the case {name!r} fails")
    if only is None:
        return list(cases)
    chosen: set[str] = set()
    for pattern in [only] if isinstance(only, str) else only:
        matches = {name for name in ids if name == pattern or fnmatchcase(name, pattern)}
        if not matches:
            raise ValueError(_unknown(pattern, ids, where))
        chosen |= matches
    return [case for case in cases if case.id in chosen]


def _unknown(name: str, ids: list[str], where: str) -> str:
    near = (
        [known for known in ids if known.startswith(f"{name}:")]
        or [known for known in ids if name.lower() in known.lower()]
        or get_close_matches(name, ids)
    )
    hint = f"did you mean {' or '.join(map(repr, near[:3]))}? " if near else ""
    return f"there is no case {name!r}; {hint}{where} has all ids"


async def _check(
    backend: Backend, cases: Sequence[Case], known_failures: Mapping[str, str]
) -> Report:
    reports: list[CaseReport] = []
    failed = 0
    with progress(len(cases)) as show:
        for case in cases:
            show(case.id, failed)
            reports.append(await _report_of(case, backend, known_failures.get(case.id)))
            failed += reports[-1].verdict is Verdict.FAILED
    report = Report(tuple(reports))
    if failed:
        raise TransportFailed(report)
    return report


async def _report_of(case: Case, backend: Backend, declared: str | None) -> CaseReport:
    for reason in map(backend.lacks, case.needs):
        if reason is not None:
            return CaseReport(case.id, Verdict.NOT_CHECKED, reason)
    backend.frames, backend.leaks = (), []
    try:
        remark = await _watched(case.check, backend)
    except Unexpected as failure:
        if failure.__cause__ is not None:
            backend.keep_frames(failure.__cause__)
        return CaseReport(
            case.id,
            Verdict.FAILED if declared is None else Verdict.KNOWN_FAILURE,
            declared or "",
            masked(failure.expected),
            masked(failure.seen),
            masked(failure.server),
            backend.frames,
        )
    if declared is None:
        return CaseReport(case.id, Verdict.PASSED, remark or "")
    return CaseReport(case.id, Verdict.STALE, declared)


async def _watched(
    check: Callable[[Backend], Awaitable[str | None]], backend: Backend
) -> str | None:
    sockets, tasks = open_sockets(), backend.tasks()
    with warnings.catch_warnings(record=True) as warned, logged() as log:
        # Something was left open, or never awaited.
        for category in (ResourceWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        try:
            remark = await check(backend)
        except Unexpected:
            raise
        except Exception as error:
            raise Unexpected("no error here", describe(error)) from error
        finally:
            await _until_nothing_is_left(backend, sockets, tasks)
    if left := open_sockets() - sockets:
        expected = "every socket to be closed when the transport is"
        raise Unexpected(expected, f"{len(left)} still open")
    if left := backend.tasks() - tasks:
        raise Unexpected("no task to be left when the transport is closed", shortened(left))
    for warning in warned:
        if issubclass(warning.category, ResourceWarning | RuntimeWarning):
            raise Unexpected("no warning", f"{warning.category.__name__}: {warning.message}")
    _check_log(log)
    return remark


def _check_log(log: Iterable[logging.LogRecord]) -> None:
    for record in log:
        text = logging.Formatter().format(record)
        if KEY in text:
            seen = f"it in a record of {record.name!r}: {shortened(text)}"
            raise Unexpected("the API key not to be in any log", seen)
        if record.name == "asyncio" and record.levelno >= logging.ERROR:
            raise Unexpected("no error in the log of the event loop", shortened(text))


async def _until_nothing_is_left(
    backend: Backend, sockets: set[tuple[int, int]], tasks: set[object]
) -> None:
    end = monotonic() + backend.at_once
    while (open_sockets() - sockets or backend.tasks() - tasks) and monotonic() < end:
        await backend.sleep(0.001)
