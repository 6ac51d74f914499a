"""The service under uvicorn, against a model's server on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from moondream_tools import FakeServer
from sansio_moondream import (
    BBox,
    Completed,
    EncodedImage,
    PathChunk,
    QueryRequest,
    ServerError,
    TextDelta,
    Value,
    from_dict,
)

HERE = Path(__file__).parent


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


class Service:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def post(self, path: str, body: bytes) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, body)
        return connection.getresponse()


@pytest.fixture
def service(server: FakeServer) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), "service:app"]
        process = subprocess.Popen(
            [*command, "--log-level", "warning"],
            cwd=HERE,
            env={**os.environ, "MOONDREAM_ENDPOINT": server.url},
            pass_fds=[listener.fileno()],
            text=True,
        )
        port = listener.getsockname()[1]
    try:
        yield Service(process, port)
    finally:
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)


def picture() -> bytes:
    png = BytesIO()
    Image.new("RGB", (8, 8), "navy").save(png, "PNG")
    return png.getvalue()


def values(response: HTTPResponse) -> list[Value]:
    assert response.status == 200, response.read()
    records = response.read().decode().split("\n\n")
    lines = [line for record in records for line in record.split("\n")]
    return [from_dict(json.loads(line[6:])) for line in lines if line.startswith("data: ")]


def test_a_question_about_an_upload(server: FakeServer, service: Service):
    server.answer(skill="query", text="A dark 月 sky.")
    *deltas, last = values(service.post("/ask?question=What%20is%20it", picture()))
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == "A dark 月 sky."
    assert isinstance(last, Completed)
    (asked,) = server.requests
    assert isinstance(asked, QueryRequest)
    assert asked.question == "What is it"
    assert isinstance(asked.image, EncodedImage)


def test_a_description_and_an_outline(server: FakeServer, service: Service):
    server.answer(skill="caption", text="The sky.")
    *_, last = values(service.post("/describe", picture()))
    assert isinstance(last, Completed)
    server.answer(path="M0 0L1 0L1 1Z", box=BBox(0, 0, 0.5, 1))
    kinds = {type(value) for value in values(service.post("/outline?object=sky", picture()))}
    assert {BBox, PathChunk, Completed} <= kinds


def test_an_error_in_the_stream_is_its_last_record(server: FakeServer, service: Service):
    server.answer(skill="query", text="A dark", error=ServerError("too hot"))
    *_, last = values(service.post("/ask?question=What", picture()))
    assert isinstance(last, ServerError)
    assert (last.message, last.partial and last.partial.to_dict()["text"]) == ("too hot", "A dark")


def test_uploads_that_are_no_pictures_are_refused(service: Service):
    refused = service.post("/ask?question=What", b"no picture")
    assert refused.status == 400
    assert "picture" in json.load(refused)["detail"]
    assert service.post("/ask?question=What", bytes(20_000_001)).status == 413


def test_a_visitor_who_leaves_ends_the_answer(server: FakeServer, service: Service):
    server.answer(skill="query", text="A dark sky.", fault="stall@1")
    response = service.post("/ask?question=What", picture())
    assert response.readline().startswith(b"id: 1")
    response.close()
    server.wait_until_left(60)


def test_the_interface_is_described(service: Service):
    connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
    deadline = time.monotonic() + 60
    while True:
        try:
            connection.request("GET", "/openapi.json")
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
    paths = json.load(connection.getresponse())["paths"]
    assert sorted(paths) == ["/ask", "/describe", "/outline"]
    assert "image/*" in paths["/ask"]["post"]["requestBody"]["content"]
