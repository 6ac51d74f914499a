"""The conformance suite: prove that a transport of your own is right.

`check_transport` and `check_async_transport` run a transport against a server on loopback that has
every fault. They need no pytest. Certificates for the cases with TLS are made by trustme (extra
`testing`). Without it these cases are not checked, and the report says so. The guide is
docs/how-to/write-a-transport.md.
"""

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
