"""Who may send a request, and when: rates, queues, pauses. Pure: time comes in as an argument.

`moondream_transports.Limiter` and `EndpointPool` wait with these. Who embeds the core uses them
with clocks and waits of their own.
"""

__all__: list[str] = []
