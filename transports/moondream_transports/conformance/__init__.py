"""Examine a transport of your own: `check_transport` and `check_async_transport` run a server with
every fault against it.

They need no pytest. Certificates for the cases on TLS are made by trustme (extra `testing`);
without it these cases are not checked, and the report says so. See docs/write-a-transport.md."""

from ._case import Case
from ._check import ASYNC_CASES, CASES, check_async_transport, check_transport
from ._report import CaseReport, Report, TransportFailed, Verdict

__all__ = [
    "ASYNC_CASES",
    "CASES",
    "Case",
    "CaseReport",
    "Report",
    "TransportFailed",
    "Verdict",
    "check_async_transport",
    "check_transport",
]
