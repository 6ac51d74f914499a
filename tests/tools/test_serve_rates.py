"""The latency, the faults at rates and the request log of `moondream-stream serve`."""

from __future__ import annotations

import hashlib
import json
import math
import socket
import time
from collections import Counter
from pathlib import Path

import pytest
from msgspec.json import decode

from moondream_tools._fault_rates import RatedFault
from moondream_tools._request_log import LoggedRequest
from moondream_tools._serve_options import Options
from tests.tools.programs import Program, running
from tests.tools.serving import BODY, http_request, post, raw

RATES = ("429:2%", "503:2%", "close@3:1%")
OPTIONS = Options(faults=tuple(RatedFault.parse(text) for text in RATES), seed=7)
PATH = "/v1/query"


def bodies(count: int) -> list[bytes]:
    return [json.dumps({"question": f"What is {number}?"}).encode() for number in range(count)]


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def read(path: Path) -> list[LoggedRequest]:
    return [decode(line, type=LoggedRequest) for line in path.read_bytes().splitlines()]


def kind(options: Options, body: bytes, number: int = 1, path: str = PATH) -> str | None:
    fault = options.fault(path, digest(body), number)
    return fault.kind if fault is not None else None


class TestTheChoice:
    COUNT = 20_000

    def test_has_the_rates(self) -> None:
        seen = Counter(kind(OPTIONS, body) for body in bodies(self.COUNT))
        for fault, rate in (("429", 0.02), ("503", 0.02), ("close", 0.01)):
            expected = self.COUNT * rate
            assert abs(seen[fault] - expected) < 4 * math.sqrt(expected), seen
        assert sum(seen.values()) == self.COUNT

    def test_depends_on_the_seed_the_path_the_request_and_its_number(self) -> None:
        first = [kind(OPTIONS, body) for body in bodies(1000)]
        assert first == [kind(OPTIONS, body) for body in bodies(1000)]
        other_seed = Options(faults=OPTIONS.faults, seed=8)
        assert first != [kind(other_seed, body) for body in bodies(1000)]
        assert first != [kind(OPTIONS, body, path="/v1/caption") for body in bodies(1000)]
        assert first != [kind(OPTIONS, body, 2) for body in bodies(1000)]
        assert any(kind(OPTIONS, bodies(1)[0], number) for number in range(1000))

    @pytest.mark.parametrize("rates", [("close",), ("reset:40%", "close:60%"), ("close:10%",) * 10])
    def test_rates_that_leave_nothing(self, rates: tuple[str, ...]) -> None:
        options = Options(faults=tuple(RatedFault.parse(text) for text in rates))
        assert None not in {kind(options, body) for body in bodies(2000)}

    def test_none_without_faults(self) -> None:
        assert {kind(Options(), body) for body in bodies(10)} == {None}


class TestFaultsAtRates:
    def test_a_server_gives_the_faults_that_are_computed(self, tmp_path: Path) -> None:
        log = tmp_path / "log.jsonl"
        options = Options(faults=(RatedFault.parse("429:30%"), RatedFault.parse("503:30%")), seed=3)
        rates = ("--fault", "429:30%", "--fault", "503:30%", "--seed", 3)
        asked = bodies(10) * 2
        with running("serve", "--speed", "max", "--log", log, "--retry-after", "2", *rates) as it:
            seen = [http_request(it, body=body) for body in asked]
        expected = [kind(options, body, 1 + (at >= 10)) for at, body in enumerate(asked)]
        assert [str(status) if status != 200 else None for status, _, _ in seen] == expected
        assert {head.get("retry-after") for status, head, _ in seen if status != 200} == {"2"}
        assert len({*expected[:10]}) == 3  # each kind is among them
        assert expected[:10] != expected[10:]
        assert [(one.sha256, one.fault) for one in read(log)] == [
            (digest(body), fault) for body, fault in zip(asked, expected, strict=True)
        ]

    def test_by_header(self, server: Program) -> None:
        asked = {"X_Moondream_Fault": "429:100%", "X_Moondream_Retry_After": "4"}
        status, head, _ = http_request(server, **asked)
        assert (status, head["retry-after"]) == (429, "4")
        status, head, _ = http_request(server, **asked | {"X_Moondream_Retry_After": "none"})
        assert (status, "retry-after" in head) == (429, False)
        status, _, body = http_request(server, X_Moondream_Fault="429:2")
        assert (status, b"a percentage above 0" in body) == (400, True)


class TestTheLatency:
    @pytest.mark.parametrize("fault", [(), ("X-Moondream-Fault: 429",)])
    def test_delays_each_answer(self, server: Program, fault: tuple[str, ...]) -> None:
        began = time.monotonic()
        assert raw(server, post(BODY, "X-Moondream-Latency: 0.3", *fault), until=b"\r\n")
        assert time.monotonic() - began >= 0.3

    def test_a_refused_request_does_not_wait(self, server: Program) -> None:
        assert http_request(server, body="{}", X_Moondream_Latency="1000000")[0] == 400

    def test_a_wrong_one(self, server: Program) -> None:
        status, _, body = http_request(server, X_Moondream_Latency="long")
        assert (status, b"the latency should be a number of seconds" in body) == (400, True)


class TestTheLog:
    def test_has_a_line_for_each_exchange(self, tmp_path: Path) -> None:
        log = tmp_path / "log.jsonl"
        log.write_bytes(b'{"an": "older line"}\n')
        body = b'{"question": "Where is my secret?"}'
        with running("serve", "--speed", "max", "--latency", "0.1", "--log", log) as server:
            before = time.time()
            http_request(server, path="/v1/query?key=abc", body=body, X_Moondream_Auth="sk-12345")
            http_request(server, path="/v1/nothing")
            http_request(server, path="/v1/chat/completions", body="{}")
            raw(server, post("{}", "X-Moondream-Fault: close"))  # invalid, so without its fault
            raw(server, post('{"question": "?"}', "X-Moondream-Fault: close"))
            raw(server, post('{"question": "?"}', "X-Moondream-Fault: no-head"))
            leave(server)
        older, line, *others = log.read_bytes().splitlines()
        after = time.time()
        assert older == b'{"an": "older line"}'
        assert not any(word in line for word in (b"secret", b"abc", b"sk-"))
        seen = decode(line, type=LoggedRequest)
        assert seen == LoggedRequest(
            seen.time, "POST", PATH, "query", digest(body), 200, None, "complete", seen.seconds
        )
        assert (before - 0.01 < seen.time, seen.seconds >= 0.1) == (True, True)
        assert seen.time + seen.seconds < after + 0.01
        ends = [decode(line, type=LoggedRequest) for line in others]
        assert [(one.skill, one.status, one.fault, one.ended) for one in ends] == [
            ("nothing", 404, None, "complete"),
            ("chat", 400, None, "complete"),
            ("query", 400, None, "complete"),
            ("query", 200, "close", "aborted"),
            ("query", None, "no-head", "aborted"),
            ("query", 200, "stall", "left"),
        ]

    def test_a_full_disk_is_reported(self) -> None:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("this system has no /dev/full")
        with running("serve", "--speed", "max", "--log", full) as server:
            assert http_request(server)[0] == 200
            assert http_request(server)[0] == 200
            server.wait_for_line("the request log lacks this exchange", "No space left")


def leave(server: Program) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(post('{"question": "?"}', "X-Moondream-Fault: stall"))
        assert connection.recv(65536)
    server.wait_for_line("the client left")
