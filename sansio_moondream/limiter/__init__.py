"""Who may send a request, and when: rates, queues, pauses. Pure: time comes in as an argument.

`moondream_transports.Limiter` and `EndpointPool` wait with these, and so do the workers of a
cluster in `moondream_transports.bulk.ray`. Who embeds the core uses them with clocks and waits of
their own.
"""

from ._gate import GateStatus
from ._leases import Lease, LeaseQueue, LeaseTicket
from ._queue import AdmissionQueue, Ticket
from ._values import Cooldown, RateLimit

__all__ = [
    "AdmissionQueue",
    "Cooldown",
    "GateStatus",
    "Lease",
    "LeaseQueue",
    "LeaseTicket",
    "RateLimit",
    "Ticket",
]
