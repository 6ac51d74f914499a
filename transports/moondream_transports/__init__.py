"""Clients and transports: what touches a socket, a file or a clock. Start with `Client`."""

from ._client import Client
from ._client_stream import ClientStream
from ._replay import NoRecording, ReplayStream, ReplayTransport
from ._transport import ByteStream, Timeouts, Transport
from ._urllib import UrllibStream, UrllibTransport

__all__ = [
    "ByteStream",
    "Client",
    "ClientStream",
    "NoRecording",
    "ReplayStream",
    "ReplayTransport",
    "Timeouts",
    "Transport",
    "UrllibStream",
    "UrllibTransport",
]
