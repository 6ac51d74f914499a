"""One case of the conformance suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ._backend import Backend
from ._expect import Need


@dataclass(frozen=True)
class Case:
    """One thing that a server does, or that is asked of a transport, and the check of the outcome.

    Attributes:
        id: What happens, in words. It begins with the number of a row in the table of faults, or
            with what the case is about, such as `contract`.
        check: Raises Unexpected if the case fails. Returns a remark for the report, or None.
        needs: What the case needs: `certificates` (trustme is installed), `trust` (the factory
            takes `ssl_context` or `ca_file`), `proxy` (the factory takes `proxy`).
    """

    id: str
    check: Callable[[Backend], Awaitable[str | None]] = field(repr=False, compare=False)
    needs: tuple[Need, ...] = ()
