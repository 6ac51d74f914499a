"""Who may send a request, and when: rates, queues, pauses. Pure: time comes in as an argument.

`moondream_transports.Limiter` and `EndpointPool` wait with these. Who embeds the core uses them
with clocks and waits of their own.
"""

from ._gate import GateStatus
from ._queue import AdmissionQueue, Ticket
from ._values import Cooldown, RateLimit

__all__ = ["AdmissionQueue", "Cooldown", "GateStatus", "RateLimit", "Ticket"]
