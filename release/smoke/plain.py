"""Without extras: the packages are whole and typed, a stream is decoded, a client asks a server."""

import sys
from importlib.metadata import entry_points, version
from importlib.resources import files

import moondream_tools
import moondream_transports
import sansio_moondream
from moondream_tools import FakeServer
from moondream_transports import Client
from sansio_moondream import Completed, Endpoint, QueryRequest, ResponseStream, TextDelta

for package in (sansio_moondream, moondream_transports, moondream_tools):
    assert str(package.__file__).startswith(sys.prefix), package.__file__
    assert files(package).joinpath("py.typed").is_file(), package
for name in ("moondream-relay.js", "moondream-relay.d.ts"):
    assert files(moondream_transports).joinpath("relay", "static", name).is_file(), name
assert sansio_moondream.__version__ == version("sansio-moondream")

response = ResponseStream(QueryRequest(question="What is this?"))
response.receive_response(200, [("content-type", "text/event-stream")])
response.receive_data(b'data: {"chunk": "A moon", "completed": false, "token_index": 0}\n\n')
response.receive_data(b'data: {"chunk": ".", "completed": true, "answer": "A moon."}\n\n')
response.receive_eof()
match list(response.events()):
    case [TextDelta(text="A moon"), TextDelta(text="."), Completed()]:
        assert response.result().text == "A moon."
    case other:
        raise AssertionError(other)

with FakeServer() as server:
    server.answer(text="A moon.")
    with Client(endpoint=Endpoint(server.url)) as client:
        assert client.query(question="What is this?").text == "A moon."
(plugin,) = entry_points(group="pytest11")  # pytest itself is not here
assert plugin.value == plugin.name == "moondream_tools.pytest_plugin"
