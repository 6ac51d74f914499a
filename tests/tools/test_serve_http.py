"""The HTTP of `moondream-stream serve`, and who may send requests."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from sansio_moondream import AuthenticationError
from tests.helpers import CHAT, QUERY
from tests.tools.programs import Program, running
from tests.tools.serving import BODY, RECORDED, client, http_request, post, raw


class TestHTTP:
    def test_one_connection_for_many(self, server: Program) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.connect()
        address = connection.sock.getsockname()
        for method, path, status in (
            ("POST", "/v1/query", 200),
            ("GET", "/nope", 404),
            ("POST", "/v1/query", 200),
        ):
            connection.request(method, path, BODY if method == "POST" else None)
            response = connection.getresponse()
            assert (response.status, response.read() != b"") == (status, True)
            assert connection.sock.getsockname() == address
        connection.close()

    def test_requests_sent_ahead(self, server: Program) -> None:
        one = post().replace(b"Connection: close\r\n", b"")
        answers = raw(server, one + one + post())
        assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"\r\n0\r\n\r\n") == 3

    def test_1_0(self, server: Program) -> None:
        head, _, body = raw(server, post(version="1.0")).partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert body == b"".join(chunk.data for chunk in RECORDED["query"].chunks)

    def test_it_says_when_to_send_the_body(self, server: Program) -> None:
        head, _, body = post(BODY, "Expect: 100-continue").partition(b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head + b"\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
            connection.sendall(body)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")

    def test_a_chunked_request(self, server: Program) -> None:
        status, _, body = http_request(server, body=iter([BODY[:9].encode(), BODY[9:].encode()]))  # type: ignore[arg-type]
        assert (status, len(body)) == (
            200,
            sum(len(chunk.data) for chunk in RECORDED["query"].chunks),
        )

    def test_a_long_path_is_cut_in_the_log(self, server: Program) -> None:
        so_far = len(server.lines)
        path = "/long/" + "x" * 30_000
        assert http_request(server, "GET", path)[0] == 404
        line = server.wait_for_line("GET /long/", after=so_far)
        assert line.startswith(f"GET {path[:200]} 404, ")

    def test_what_is_no_http(self, server: Program) -> None:
        assert raw(server, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert raw(server, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")  # no Host
        assert raw(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000).startswith(b"HTTP/1.1 431 ")
        assert http_request(server)[0] == 200

    @pytest.mark.parametrize(
        ("data", "status", "words"),
        [
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
                505,
                "the client speaks HTTP/2, and this server HTTP/1.1",
            ),
            (
                b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"moon" * 128,
                400,
                "the client speaks TLS: use http:// in the address",
            ),
        ],
    )
    def test_other_protocols(self, server: Program, data: bytes, status: int, words: str) -> None:
        so_far = len(server.lines)
        head, _, body = raw(server, data).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert words in body.decode()
        server.wait_for_line(f"{status}, ", words, after=so_far)


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1:80", "[::1]:7", "moon.localhost", "LOCALHOST."]
    )
    def test_names_of_this_machine(self, server: Program, host: str) -> None:
        assert http_request(server, Host=host)[0] == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "localhost.evil.example",
            "192.168.0.1",
            "0.0.0.0",
            "",
            "[::1",
            "evil@localhost",
            "localhost/evil",
            "localhost:80:80",
            "localhost:x",
        ],
    )
    def test_other_names(self, server: Program, host: str) -> None:
        so_far = len(server.lines)
        status, _, body = http_request(server, Host=host)
        assert (status, b"not this machine" in body) == (403, True)
        server.wait_for_line("POST /v1/query 403", "not this machine", after=so_far)

    @pytest.mark.parametrize(
        "origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"]
    )
    def test_pages_of_this_machine(self, server: Program, origin: str) -> None:
        _, head, _ = http_request(server, Origin=origin)
        assert (head["access-control-allow-origin"], head["vary"]) == (origin, "origin")
        asks = {
            "Access_Control_Request_Headers": "content-type, x-moondream-auth",
            "Access_Control_Request_Private_Network": "true",
        }
        status, head, body = http_request(
            server,
            "OPTIONS",
            body=None,
            Origin=origin,
            Access_Control_Request_Method="POST",
            **asks,
        )
        assert (status, body, head["access-control-allow-origin"]) == (204, b"", origin)
        assert head["access-control-allow-headers"] == "content-type, x-moondream-auth"
        assert head["access-control-allow-private-network"] == "true"
        assert (
            "access-control-allow-origin" in http_request(server, body="", Origin=origin)[1]
        )  # refusals too have to be readable

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://[::1"]
    )
    @pytest.mark.parametrize("method", ["POST", "OPTIONS"])
    def test_other_pages(self, server: Program, origin: str, method: str) -> None:
        status, head, _ = http_request(server, method, Origin=origin)
        assert (status, "access-control-allow-origin" in head) == (403, False)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
    @pytest.mark.parametrize("mode", ["no-cors", "navigate", "cors"])
    def test_pages_that_send_no_origin(self, server: Program, method: str, mode: str) -> None:
        """Browsers leave it out of a GET or a HEAD for a picture, a script or a link."""
        fields = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": mode}
        status, _, body = http_request(server, method, "/health", None, **fields)
        assert status == 403
        assert method == "HEAD" or b"without an Origin" in body

    @pytest.mark.parametrize("site", ["none", "same-origin", "same-site"])
    def test_requests_of_this_machine(self, server: Program, site: str) -> None:
        assert http_request(server, "GET", "/health", None, Sec_Fetch_Site=site)[0] == 200

    def test_another_site_with_an_origin(self, server: Program) -> None:
        """A page on localhost is another site for 127.0.0.1."""
        origin = {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost:3000"}
        assert http_request(server, "GET", "/health", None, **origin)[0] == 200

    def test_those_that_were_let_in_and_the_key(self) -> None:
        arguments = [
            "--allow-origin",
            "https://moon.example",
            "--host",
            "127.0.0.1",
            "--api-key",
            "planted-key",
            "--dialect",
            "cloud",
        ]
        with running("serve", "--speed", "max", *arguments) as server:
            assert (
                http_request(server, Origin="https://moon.example", X_Moondream_Auth="planted-key")[
                    0
                ]
                == 200
            )
            assert http_request(server, Authorization="Bearer planted-key")[0] == 200
            for headers in (
                {},
                {"X_Moondream_Auth": "another"},
                {"Authorization": "planted"},
                {"X_Moondream_Auth": "\xff"},
            ):
                status, _, body = http_request(server, **headers)
                assert (status, json.loads(body)["error"]["type"]) == (401, "authentication_error")
            assert client(server, None, "planted-key").send(QUERY).text
            assert client(server, None, "planted-key").send(CHAT).text  # as Authorization
            with pytest.raises(AuthenticationError, match="missing or wrong"):
                client(server, None, "another").send(CHAT)
            path = "/v1/query?key=planted-key"
            assert http_request(server, path=path, X_Moondream_Auth="planted-key")[0] == 200
            status, log = server.stopped()
        assert status == 0
        assert log.count("POST /v1/query 200") == 4
        assert "planted" not in log

    def test_another_address_takes_any_host_but_no_other_pages(self) -> None:
        with running("serve", "--host", "0.0.0.0", "--speed", "max") as server:
            assert http_request(server, Host="moon.example:80")[0] == 200
            assert http_request(server, Origin="http://moon.example")[0] == 403
            for site, status in (("same-site", 403), ("cross-site", 403), ("same-origin", 200)):
                seen = http_request(server, "GET", "/health", None, Sec_Fetch_Site=site)[0]
                assert (site, seen) == (site, status)

    def test_all(self) -> None:
        with running("serve", "--allow-origin", "*", "--speed", "max") as server:
            assert http_request(server, Origin="null")[1]["access-control-allow-origin"] == "null"
            assert (
                http_request(server, "GET", "/health", None, Sec_Fetch_Site="cross-site")[0] == 200
            )
