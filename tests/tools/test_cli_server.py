"""The command line against a server, and wrong usage."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from moondream_tools.cli import Exit
from moondream_transports.conformance._fault_server import LAST_CHUNK, FaultServer, Peer, chunk
from moondream_transports.conformance._faults import F1, WHOLE_BODY, answers, sized, wait
from sansio_moondream import __version__
from tests.helpers import END, PIXEL
from tests.tools.command_line import TEXT


class TestAgainstAServer:
    def test_query(self, run: Any, image: str) -> None:
        requests: list[tuple[bytes, bytes]] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request())
            for segment in (*F1, chunk(END), LAST_CHUNK):
                peer.send(segment)

        options = [
            "--temperature",
            "0.5",
            "--top-p",
            "0.9",
            "--max-tokens",
            "7",
            "--max-objects",
            "3",
            "--model",
            "m",
            "--reasoning",
        ]
        with FaultServer(script) as server:
            ran = run("query", image, "What is this?", "--endpoint", server.url, *options)
        assert (ran.status, ran.out, ran.err) == (Exit.OK, TEXT + "\n", "")
        assert json.loads(requests[0][1]) == {
            "question": "What is this?",
            "image_url": PIXEL.data_url,
            "reasoning": True,
            "model": "m",
            "settings": {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "max_objects": 3},
            "stream": True,
        }
        assert b"moondream-stream" in requests[0][0]
        assert b"x-moondream-auth" not in requests[0][0].lower()

    def test_the_key_of_the_environment(
        self, run: Any, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heads: list[bytes] = []

        def script(peer: Peer) -> None:
            heads.append(peer.read_request()[0])
            peer.send(sized(WHOLE_BODY))

        monkeypatch.setenv("MOONDREAM_API_KEY", "planted-key\n")
        with FaultServer(script) as server:
            ran = run("query", image, "--question", "What is this?", "--endpoint", server.url)
        assert ran.status == Exit.OK
        assert b"X-Moondream-Auth: planted-key" in heads[0]
        assert "planted-key" not in ran.out + ran.err

    @pytest.mark.parametrize(
        ("variable", "option", "model"), [("m", None, "m"), ("m", "own", "own"), ("", None, None)]
    )
    def test_the_model_of_the_environment(
        self,
        run: Any,
        image: str,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        option: str | None,
        model: str | None,
    ) -> None:
        bodies: list[bytes] = []

        def script(peer: Peer) -> None:
            bodies.append(peer.read_request()[1])
            peer.send(sized(WHOLE_BODY))

        monkeypatch.setenv("MOONDREAM_MODEL", variable)
        options = [] if option is None else ["--model", option]
        with FaultServer(script) as server:
            ran = run("query", image, "What?", "--endpoint", server.url, *options)
        assert ran.status == Exit.OK
        assert json.loads(bodies[0]).get("model") == model

    def test_no_stream(self, run: Any, image: str) -> None:
        requests: list[bytes] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request()[1])
            peer.send(sized(b'{"caption": "A moon", "request_id": "7"}', kind="application/json"))

        with FaultServer(script) as server:
            ran = run("caption", image, "--no-stream", "--length", "long", "--endpoint", server.url)
        assert (ran.status, ran.out) == (Exit.OK, "A moon\n")
        assert "request 7" in ran.err
        assert json.loads(requests[0]) == {
            "image_url": PIXEL.data_url,
            "length": "long",
            "stream": False,
        }

    def test_refused(self, run: Any, image: str) -> None:
        body = json.dumps({"error": {"message": "bad key \x1b[31m"}}).encode()
        with FaultServer(
            answers(sized(body, status_code=401, kind="application/json", X_Request_Id="7"))
        ) as server:
            ran = run("query", image, "What?", "--endpoint", server.url)
        assert (ran.status, ran.out) == (Exit.REFUSED, "")
        assert ran.err == (
            "moondream-stream: refused: the server answered 401: bad key \\x1b[31m"
            f" [POST {server.url}/query, request 7]\n"
            "MOONDREAM_API_KEY should be a key of this server\n"
        )

    def test_an_endpoint_without_v1(self, run: Any, image: str) -> None:
        with FaultServer(answers(sized(b"Not Found", status_code=404))) as server:
            wrong = server.url.removesuffix("/v1")
            ran = run("query", image, "What?", "--endpoint", wrong)
        assert (ran.status, ran.out) == (Exit.REFUSED, "")
        assert ran.err == (
            "moondream-stream: refused: the server answered 404: Not Found (the url of an endpoint "
            f"usually ends in /v1, before the skill: try {server.url} instead of {wrong})"
            f" [POST {wrong}/query]\n"
        )

    def test_incomplete(self, run: Any, image: str) -> None:
        with FaultServer(answers(*F1)) as server:
            ran = run("query", image, "What?", "--endpoint", server.url)
        assert (ran.status, ran.out) == (Exit.INCOMPLETE, TEXT + "\n")
        assert ran.err == (
            "moondream-stream: incomplete answer: the server closed the connection"
            f" before the end of the body [POST {server.url}/query]\n"
        )

    def test_silence(self, run: Any, image: str) -> None:
        waits = [
            "--connect-timeout",
            "9",
            "--first-event-timeout",
            "0.1",
            "--idle-timeout",
            "0.1",
            "--total-timeout",
            "9",
        ]
        with FaultServer(answers(*F1, then=wait)) as server:
            ran = run("query", image, "What?", "--endpoint", server.url, *waits)
        assert (ran.status, ran.out) == (Exit.INCOMPLETE, TEXT + "\n")
        assert "0.1 seconds (--idle-timeout)" in ran.err
        with FaultServer(answers(then=wait)) as server:
            ran = run("query", image, "What?", "--endpoint", server.url, *waits)
        assert (ran.status, ran.out) == (Exit.UNREACHABLE, "")
        assert "0.1 seconds of the connection" in ran.err

    def test_unreachable(self, run: Any, image: str) -> None:
        with FaultServer(answers()) as server:
            pass
        ran = run("query", image, "What?", "--endpoint", server.url)
        assert ran.status == Exit.UNREACHABLE
        assert ran.err.startswith("moondream-stream: no answer: the connection could not be made")

    def test_no_server_of_moondream(self, run: Any, image: str) -> None:
        with FaultServer(answers(sized(b"<html>", kind="text/html"))) as server:
            ran = run("query", image, "What?", "--endpoint", server.url)
        assert ran.status == Exit.INCOMPLETE
        assert "is this the address of a Moondream server?" in ran.err


class TestUsage:
    def test_nothing_to_ask(self, run: Any, image: str) -> None:
        ran = run("query", image, "What?")
        assert ran.status == Exit.USAGE
        for way in ("MOONDREAM_API_KEY", "--endpoint", "--replay", "moondream-stream demo"):
            assert way in ran.err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "COMMAND"),
            (["sing"], "invalid choice"),
            (["query"], "there is no QUESTION"),
            (["query", "IMAGE"], "give it as the last argument after IMAGE, which is a picture"),
            (["query", "IMAGE", "What?", "--question", "Who?"], "give the question once"),
            (["query", "IMAGE", ""], "the question should be text that is not blank"),
            (["query", "IMAGE", "What?", "--temperature", "-1"], "--temperature: it should be"),
            (["query", "IMAGE", "What?", "--model", ""], "model should be a model's name"),
            (["query", "IMAGE", "What?", "--max-tokens", "few"], "not 'few'"),
            (["query", "IMAGE", "What?", "--idle-timeout", "0"], "--idle-timeout: it"),
            (
                ["query", "IMAGE", "What?", "--speed", "0"],
                "should be a number above 0, or max, not '0'",
            ),
            (
                ["query", "IMAGE", "What?", "--speed", "fast"],
                "should be a number above 0, or max, not 'fast'",
            ),
            (["caption", "IMAGE", "--length", "endless"], "invalid choice"),
            (["detect", "IMAGE"], "OBJECT"),
            (["detect", "IMAGE", "moon", "--endpoint", "localhost:2020"], "http"),
            (["detect", "IMAGE", "moon", "--replay", "no-such-file"], "no-such-file"),
            (["detect", "IMAGE", "moon", "--replay", "IMAGE"], "pixel.gif, line 1: "),
        ],
    )
    def test_wrong(self, run: Any, image: str, arguments: list[str], words: str) -> None:
        given = [image if argument == "IMAGE" else argument for argument in arguments]
        ran = run(
            *given,
            *(
                []
                if "--endpoint" in given or "--replay" in given or len(given) < 2
                else ["--endpoint", "http://localhost:1/v1"]
            ),
        )
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert words.replace("IMAGE", image) in ran.err

    def test_a_key_in_the_clear(
        self, run: Any, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MOONDREAM_API_KEY", "planted-key")
        arguments = ["query", image, "What?", "--endpoint", "http://moondream.test/v1"]
        ran = run(*arguments)
        assert ran.status == Exit.USAGE
        assert "planted-key" not in ran.err

        def fail(*address: object, **hints: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        assert run(*arguments, "--allow-insecure-key").status == Exit.UNREACHABLE

    def test_help(self, run: Any) -> None:
        ran = run("--help")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert "4 incomplete" in ran.out
        assert run("query", "--help").status == Exit.OK
        assert run("--version").out == f"moondream-stream {__version__}\n"
