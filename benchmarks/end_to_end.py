"""What does a stream cost from the socket to the event? Prints processor time an event, memory a stream, and time to import.

    python benchmarks/end_to_end.py [--quick] [--rounds N] [--streams N] [--only NAME ...] [--json]

Speed: a server on raw sockets, in a process of its own, sends the same answers to every candidate, one stream after the other, in three
ways. "each": every event in a TCP write of its own, after a pause, and not before the kernel says that the one before was read, so that
every one comes alone. "flow": a write each, without a pause, so that a slow reader finds several. "burst": the whole answer in one write.
*waits* says how often an event of "each" found the candidate waiting, and *user* which part of its time was not the system's: to be woken
is dear on some virtual machines, dearer than anything that is done then, and it falls on all alike.

Memory: 1,000 streams open at once, each read by a task of its own, each with its head and one event behind it. Imports: what a module
adds to what is loaded already.

A candidate is one of our transports, read through a client; the bare library under it, reading the same bytes and doing nothing
with them; or a peer with the wire format of its own service. Each runs in a fresh process, one of ours and its bare library right after
each other. A ratio is the median of the ratios within each round. What cannot be imported is named and left out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import resource
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Self, TypeAlias

import works

EVENTS = 200  # of each stream, the last one included
WORK = works.query(EVENTS - 1)
QUESTION = "?"
PAUSE = 100e-6  # seconds before each event; the system adds about 60 µs
WARM_UP = 10  # streams
OPEN = 1000  # streams at once, for memory
PIECE = 64 * 1024
MODES = ("each", "flow", "burst")

# The server

LAST_CHUNK = b"0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def moondream_records() -> list[bytes]:
    return WORK.records


def openai_records() -> list[bytes]:
    fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in texts(EVENTS - 2)]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    return [*(_record({**fixed, "choices": [choice]}) for choice in choices), b"data: [DONE]\n\n"]


def anthropic_records() -> list[bytes]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    usage = {"input_tokens": 1, "output_tokens": 1}
    messages: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts(EVENTS - 5)),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return [b"event: %b\n%b" % (message["type"].encode(), _record(message)) for message in messages]


def texts(count: int) -> list[str]:
    return [json.loads(payload)["chunk"] for payload in WORK.payloads[:count]]


def _record(message: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(message).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def serve(pause: float) -> None:
    """Print the port, and answer until whoever started it closes the pipe. A thread for each connection."""
    of_path = {"query": moondream_records(), "completions": openai_records(), "messages": anthropic_records()}
    answers = {name.encode(): [chunk(record) for record in records] for name, records in of_path.items()}
    threading.stack_size(256 * 1024)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2 * OPEN)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, answers, pause), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


def answer(connection: socket.socket, answers: dict[bytes, list[bytes]], pause: float) -> None:
    """All requests of one connection. A path begins with the mode and ends with what tells the wire format."""
    with connection, connection.makefile("rb") as requests, suppress(ConnectionError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while first_line := requests.readline():
            length = 0
            while line := requests.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            requests.read(length)
            parts = first_line.split()[1].split(b"/")
            send(connection, parts[1], answers[parts[-1]], pause)


def send(connection: socket.socket, mode: bytes, chunks: list[bytes], pause: float) -> None:
    if mode == b"idle":
        connection.sendall(HEAD + chunks[0])
    elif mode == b"burst":
        connection.sendall(b"".join([HEAD, *chunks, LAST_CHUNK]))
    else:
        connection.sendall(HEAD)
        with Unread(connection) as unread:
            for data in chunks:
                if mode == b"each":
                    time.sleep(pause)
                    while unread.any():
                        time.sleep(pause)
                connection.sendall(data)
        connection.sendall(LAST_CHUNK)  # a write of its own, at once: as servers do


class Unread:
    """Sees, in the kernel, whether the other end of a connection on this machine has read all that it was sent (sock_diag(7) of Linux)."""

    def __init__(self, connection: socket.socket) -> None:
        (host, port), (our_host, our_port) = connection.getpeername(), connection.getsockname()
        ends = struct.pack("!HH4s12x4s12x", port, our_port, socket.inet_aton(host), socket.inet_aton(our_host))
        asked = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + ends + struct.pack("=Iq", 0, -1)
        self._request = struct.pack("=IHHII", 16 + len(asked), 20, 1, 0, 0) + asked
        linux = sys.platform == "linux"
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) if linux else None

    def any(self) -> bool:
        """Always False where there is no such kernel: then the pause has to do."""
        if self._kernel is None:
            return False
        self._kernel.send(self._request)
        found = self._kernel.recv(4096)
        return len(found) > 72 and struct.unpack_from("=I", found, 72)[0] > 0  # a short answer: the connection is closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._kernel is not None:
            self._kernel.close()


# The candidates: each gives, for a server's address, a function that reads one whole stream and asserts what came.

Ask: TypeAlias = Callable[[], Awaitable[None]]
Opened: TypeAlias = Callable[[str], AbstractAsyncContextManager[Ask]]

BODY = json.dumps({"question": QUESTION, "stream": True}).encode()
HEADERS = {"Content-Type": "application/json"}
BODY_BYTES = sum(map(len, WORK.records))
PATIENCE = 120.0


def ours_sync(transport: Callable[[], Any]) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        from moondream_transports import Client
        from sansio_moondream import Endpoint, QueryRequest

        with transport() as made:
            client, request = Client(made, Endpoint(f"{url}/v1")), QueryRequest(question=QUESTION)

            async def ask() -> None:
                events = 0
                with client.stream(request) as stream:
                    for _ in stream:
                        events += 1
                    assert events == WORK.events
                    assert stream.result().text == WORK.text

            yield ask

    return opened


def ours_async(transport: Callable[[], Any]) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        from moondream_transports import AsyncClient
        from sansio_moondream import Endpoint, QueryRequest

        async with transport() as made:
            client, request = AsyncClient(made, Endpoint(f"{url}/v1")), QueryRequest(question=QUESTION)

            async def ask() -> None:
                events = 0
                async with client.stream(request) as stream:
                    async for _ in stream:
                        events += 1
                    assert events == WORK.events
                    assert (await stream.result()).text == WORK.text

            yield ask

    return opened


def our_urllib() -> Any:
    from moondream_transports import UrllibTransport

    return nullcontext(UrllibTransport(proxies={}))


def our_httpx(library: str) -> Callable[[], Any]:
    @contextmanager
    def transport() -> Iterator[Any]:
        from moondream_transports import HttpxTransport

        with import_module(library).Client(trust_env=False) as client:
            yield HttpxTransport(client)

    return transport


def our_async_httpx(library: str) -> Callable[[], Any]:
    @asynccontextmanager
    async def transport() -> AsyncIterator[Any]:
        from moondream_transports import AsyncHttpxTransport

        async with _async_httpx_client(library) as client:
            yield AsyncHttpxTransport(client)

    return transport


def _async_httpx_client(library: str) -> Any:
    module = import_module(library)
    return module.AsyncClient(trust_env=False, timeout=PATIENCE, limits=module.Limits(max_connections=None))


def our_aiohttp() -> Any:
    from moondream_transports import AiohttpTransport

    return AiohttpTransport()


def our_anyio() -> Any:
    from moondream_transports import AnyioTransport

    return AnyioTransport()


@asynccontextmanager
async def bare_urllib(url: str) -> AsyncIterator[Ask]:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def ask() -> None:
        size = 0
        with opener.open(urllib.request.Request(f"{url}/v1/query", BODY, HEADERS), timeout=PATIENCE) as response:
            while data := response.read1(PIECE):
                size += len(data)
        assert size == BODY_BYTES

    yield ask


def bare_httpx(library: str) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        with import_module(library).Client(trust_env=False, timeout=PATIENCE) as client:

            async def ask() -> None:
                size = 0
                with client.stream("POST", f"{url}/v1/query", content=BODY, headers=HEADERS) as response:
                    for data in response.iter_raw():
                        size += len(data)
                assert size == BODY_BYTES

            yield ask

    return opened


def bare_async_httpx(library: str) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        async with _async_httpx_client(library) as client:

            async def ask() -> None:
                size = 0
                async with client.stream("POST", f"{url}/v1/query", content=BODY, headers=HEADERS) as response:
                    async for data in response.aiter_raw():
                        size += len(data)
                assert size == BODY_BYTES

            yield ask

    return opened


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Ask]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False) as session:

        async def ask() -> None:
            size = 0
            async with session.post(f"{url}/v1/query", data=BODY, headers=HEADERS) as response:
                async for data in response.content.iter_any():
                    size += len(data)
            assert size == BODY_BYTES

        yield ask


@asynccontextmanager
async def bare_asyncio(url: str) -> AsyncIterator[Ask]:
    """A kept connection, and not even HTTP: the last chunk is the end."""
    port, request = _raw_request(url)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask() -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        data, size = b"", 0
        while not data.endswith(LAST_CHUNK):
            data = await reader.read(PIECE)
            assert data, "the server closed"
            size += len(data)
        assert size > BODY_BYTES
        idle.append((reader, writer))

    yield ask
    for _, writer in idle:
        writer.close()


@asynccontextmanager
async def bare_trio(url: str) -> AsyncIterator[Ask]:
    """As `bare_asyncio`."""
    import trio

    port, request = _raw_request(url)
    idle: list[trio.SocketStream] = []

    async def ask() -> None:
        stream = idle.pop() if idle else await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(request)
        data, size = b"", 0
        while not data.endswith(LAST_CHUNK):
            data = await stream.receive_some(PIECE)
            assert data, "the server closed"
            size += len(data)
        assert size > BODY_BYTES
        idle.append(stream)

    yield ask
    for stream in idle:
        await stream.aclose()


def _raw_request(url: str) -> tuple[int, bytes]:
    """The port of a server, and what to send to it."""
    host, _, path = url.removeprefix("http://").partition("/")
    head = f"POST /{path}/v1/query HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return int(host.partition(":")[2]), head.encode() + BODY


@asynccontextmanager
async def moondream(url: str) -> AsyncIterator[Ask]:
    client = import_module("moondream").vl(endpoint=f"{url}/v1")

    async def ask() -> None:
        assert "".join(client.query(question=QUESTION, stream=True)["answer"]) == WORK.text

    yield ask


@asynccontextmanager
async def openai(url: str) -> AsyncIterator[Ask]:
    package, text = import_module("openai"), "".join(texts(EVENTS - 2))
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        package.OpenAI(api_key="none", base_url=f"{url}/v1", http_client=http, max_retries=0) as client,
    ):

        async def ask() -> None:
            messages = [{"role": "user", "content": QUESTION}]
            with client.chat.completions.create(model="m", messages=messages, stream=True) as chunks:
                assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text

        yield ask


@asynccontextmanager
async def anthropic(url: str) -> AsyncIterator[Ask]:
    package, text = import_module("anthropic"), "".join(texts(EVENTS - 5))
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        package.Anthropic(api_key="none", base_url=url, http_client=http, max_retries=0) as client,
    ):

        async def ask() -> None:
            messages = [{"role": "user", "content": QUESTION}]
            with client.messages.create(model="m", max_tokens=1000, messages=messages, stream=True) as events:
                assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == text

        yield ask


@dataclass(frozen=True)
class Candidate:
    open: Opened
    backend: str = "sync"  # or asyncio or trio
    bare: str | None = None  # of one of ours: the bare library that it is measured against


OFFICIAL = "moondream"
# In the order in which they run: what is compared stands side by side.
CANDIDATES = {
    "urllib": Candidate(ours_sync(our_urllib), bare="bare-urllib"),
    "bare-urllib": Candidate(bare_urllib),
    OFFICIAL: Candidate(moondream),
    "aiohttp": Candidate(ours_async(our_aiohttp), "asyncio", "bare-aiohttp"),
    "bare-aiohttp": Candidate(bare_aiohttp, "asyncio"),
    "httpx2": Candidate(ours_sync(our_httpx("httpx2")), bare="bare-httpx2"),
    "bare-httpx2": Candidate(bare_httpx("httpx2")),
    "httpx": Candidate(ours_sync(our_httpx("httpx")), bare="bare-httpx"),
    "bare-httpx": Candidate(bare_httpx("httpx")),
    "httpx2-async": Candidate(ours_async(our_async_httpx("httpx2")), "asyncio", "bare-httpx2-async"),
    "bare-httpx2-async": Candidate(bare_async_httpx("httpx2"), "asyncio"),
    "httpx-async": Candidate(ours_async(our_async_httpx("httpx")), "asyncio", "bare-httpx-async"),
    "bare-httpx-async": Candidate(bare_async_httpx("httpx"), "asyncio"),
    "anyio-asyncio": Candidate(ours_async(our_anyio), "asyncio", "bare-asyncio"),
    "bare-asyncio": Candidate(bare_asyncio, "asyncio"),
    "anyio-trio": Candidate(ours_async(our_anyio), "trio", "bare-trio"),
    "bare-trio": Candidate(bare_trio, "trio"),
    "openai": Candidate(openai),
    "anthropic": Candidate(anthropic),
}

# Inside a candidate's process


def run_candidate(name: str, url: str, streams: int, measure_memory: bool) -> None:
    """Print one JSON object: what was measured, or why it cannot be."""
    candidate = CANDIDATES[name]
    try:
        if measure_memory:
            print(json.dumps({"idle": run(candidate.backend, memory, candidate, url)}), flush=True)
            os._exit(0)  # with all its streams open
        print(json.dumps(run(candidate.backend, speed, candidate, url, streams)))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))


def run(backend: str, main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    if backend == "asyncio":
        return asyncio.run(main(*args))
    if backend == "trio":
        return import_module("trio").run(main, *args)
    try:
        main(*args).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a sync candidate awaited something")


async def speed(candidate: Candidate, url: str, streams: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for mode in MODES:
        async with candidate.open(f"{url}/{mode}") as ask:
            for _ in range(min(WARM_UP, streams)):
                await ask()
            gc.collect()
            gc.freeze()  # what a package loads must not make garbage collection dearer for it
            before = spent()
            for _ in range(streams):
                await ask()
            cpu, user, wall, waits = (now - then for now, then in zip(spent(), before, strict=True))
        events = streams * EVENTS
        found[mode] = {"us": cpu / events * 1e6, "user": user / events * 1e6, "streams": streams / wall, "waits": waits / events}
    return found


def spent() -> tuple[float, ...]:
    """Seconds on the processor, those of them outside the system, seconds; and how often this process had nothing to do."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.process_time(), usage.ru_utime, time.perf_counter(), usage.ru_nvcsw


async def memory(candidate: Candidate, url: str) -> float:
    """Bytes of a stream that is open and idle, in a process that has read some already."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with candidate.open(f"{url}/burst") as ask:
        for _ in range(WARM_UP):
            await ask()
    async with candidate.open(f"{url}/idle") as ask, spawning(candidate.backend) as spawn:
        await _until_nothing_happens(candidate.backend)  # what the warm-up leaves is closed
        before, sockets = resident(), open_sockets()
        for _ in range(OPEN):
            spawn(ask)
            await _sleep(candidate.backend, 0.001)
        await _until_nothing_happens(candidate.backend)
        assert open_sockets() - sockets == OPEN, f"{open_sockets() - sockets} streams are open"
        found = (resident() - before) / OPEN
        print(json.dumps({"idle": found}), flush=True)
        os._exit(0)  # with all its streams open


@asynccontextmanager
async def spawning(backend: str) -> AsyncIterator[Callable[[Ask], None]]:
    """Gives what starts a task."""
    if backend == "trio":
        async with import_module("trio").open_nursery() as nursery:
            yield nursery.start_soon
    else:
        tasks: list[asyncio.Future[None]] = []
        yield lambda ask: tasks.append(asyncio.ensure_future(ask()))


async def _sleep(backend: str, seconds: float) -> None:
    await import_module(backend).sleep(seconds)


async def _until_nothing_happens(backend: str) -> None:
    spent = 1.0
    while spent > 0.005:
        before = time.process_time()
        await _sleep(backend, 0.5)
        spent = time.process_time() - before


def resident() -> int:
    """Bytes of memory that this process has in use, without garbage."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def open_sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


# Imports: what is loaded before, and what is measured.

IMPORTS = {
    "sansio_moondream": ("import msgspec", "import sansio_moondream"),
    "urllib": ("import sansio_moondream", "from moondream_transports import UrllibTransport"),
    "httpx2": ("import sansio_moondream, httpx2", "from moondream_transports import HttpxTransport"),
    "httpx": ("import sansio_moondream, httpx", "from moondream_transports import HttpxTransport"),
    "httpx2-async": ("import sansio_moondream, httpx2", "from moondream_transports import AsyncHttpxTransport"),
    "aiohttp": ("import sansio_moondream, aiohttp", "from moondream_transports import AiohttpTransport"),
    "anyio-asyncio": ("import sansio_moondream, anyio", "from moondream_transports import AnyioTransport"),
}
TIMED = "import time\n{}\nbefore = time.process_time()\n{}\nprint((time.process_time() - before) * 1e3)"

# What runs them all

LONGEST = 600.0  # seconds for one process


@dataclass
class Found:
    """Everything measured, by candidate; each list has one place a round."""

    missing: dict[tuple[str, str], str] = field(default_factory=dict)  # by part and candidate: why
    speed: dict[str, list[dict[str, dict[str, float]]]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)  # bytes a stream
    imports: dict[str, list[float]] = field(default_factory=dict)  # milliseconds

    def take(self, part: str, name: str, answer: dict[str, Any] | float) -> None:
        """One round's answer. A candidate that is missing, or fails once, is left out of this part for good."""
        if isinstance(answer, dict) and "missing" in answer:
            self.missing[part, name] = answer["missing"]
            getattr(self, part).pop(name, None)
        else:
            getattr(self, part).setdefault(name, []).append(answer)

    def median(self, name: str, mode: str, what: str) -> float:
        return statistics.median(found[mode][what] for found in self.speed[name])

    def ratio(self, name: str, other: str | None, mode: str = "each") -> float | None:
        """How many times the processor time of the other."""
        if other is None or name not in self.speed or other not in self.speed:
            return None
        pairs = zip(self.speed[name], self.speed[other], strict=True)
        return statistics.median(mine[mode]["us"] / others[mode]["us"] for mine, others in pairs)


@contextmanager
def server(pause: float = PAUSE) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, __file__, "--serve", "--pause", str(pause)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)


def child(*arguments: str) -> Any:
    """What a fresh process prints last, from JSON."""
    environment = {**os.environ, "no_proxy": "127.0.0.1"}  # for the official package; the others are told not to look
    try:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return {"missing": f"it took longer than {LONGEST:g} seconds"}
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    return {"missing": "".join(lines[-1:]) or "it printed nothing"} if done.returncode or not lines else json.loads(lines[-1])


def measure_speed(names: list[str], rounds: int, streams: int, pause: float, found: Found) -> None:
    with server(pause) as url:
        for number in range(rounds):
            for name in names if number % 2 == 0 else reversed(names):  # nobody is always the first of two
                if ("speed", name) not in found.missing:
                    found.take("speed", name, child(__file__, "--candidate", name, "--url", url, "--streams", str(streams)))


def measure_memory(names: list[str], rounds: int, found: Found) -> None:
    with server() as url:
        for _ in range(rounds):
            for name in names:
                if CANDIDATES[name].backend != "sync" and ("memory", name) not in found.missing:
                    answer = child(__file__, "--candidate", name, "--url", url, "--memory")
                    found.take("memory", name, answer.get("idle", answer))


def measure_imports(names: list[str], rounds: int, found: Found) -> None:
    for number in range(rounds + 1):
        for name in names:
            if ("imports", name) not in found.missing:
                answer = child("-I", "-c", TIMED.format(*IMPORTS[name]))
                if number or isinstance(answer, dict):  # the first time, byte code is made
                    found.take("imports", name, answer)


@dataclass(frozen=True)
class Verdict:
    what: str
    limit: float
    seen: float | None  # None: not measured
    least: bool = False  # the limit is the least that will do, not the most

    @property
    def reached(self) -> bool | None:
        if self.seen is None:
            return None
        return self.seen >= self.limit if self.least else self.seen <= self.limit

    def __str__(self) -> str:
        answer = {True: "reached", False: "NOT REACHED", None: "not measured"}[self.reached]
        wanted = f"{'>=' if self.least else '<='} {self.limit:g}"
        return f"{self.what:<58} {wanted:>8} {'-' if self.seen is None else f'{self.seen:.2f}':>8}  {answer}"


def verdicts(found: Found, parts: list[str], names: list[str]) -> Iterator[Verdict]:
    ours = {name: CANDIDATES[name].bare for name in names if CANDIDATES[name].bare is not None}
    if "speed" in parts:
        for name, bare in ours.items():
            if name == "anyio-asyncio":
                yield Verdict("anyio-asyncio: CPU to a bare asyncio stream (each)", 1.7, found.ratio(name, bare))
            elif name != "anyio-trio":  # no target: there is no HTTP library under it
                yield Verdict(f"{name}: CPU to the bare library (each)", 1.3, found.ratio(name, bare))
        yield Verdict("aiohttp: times as fast as the official package (burst)", 2.5, found.ratio(OFFICIAL, "aiohttp", "burst"), least=True)
        yield Verdict("urllib: CPU to the official package (each)", 0.75, found.ratio("urllib", OFFICIAL))
    if "memory" in parts:
        for name, bare in ours.items():
            if CANDIDATES[name].backend != "sync":
                yield Verdict(f"{name}: KiB a stream beyond the bare library", 4.0, beyond(found, name, bare))
    if "imports" in parts:
        for name in imported(names):
            limit = 20.0 if name == "sansio_moondream" else 10.0
            seen = statistics.median(found.imports[name]) if name in found.imports else None
            yield Verdict(f"{name}: ms to import", limit, seen)


def imported(names: list[str]) -> list[str]:
    return [name for name in IMPORTS if name in names or name == "sansio_moondream"]


def beyond(found: Found, name: str, other: str | None) -> float | None:
    if other is None or name not in found.memory or other not in found.memory:
        return None
    return (statistics.median(found.memory[name]) - statistics.median(found.memory[other])) / 1024


def report(found: Found, parts: list[str], names: list[str]) -> None:
    for (part, name), why in found.missing.items():
        print(f"  {name} is left out of {part}: {why}")
    if found.speed:
        print(f"\n{'':<18} {'us an event':>29} {'streams a second':>20} {'waits':>6} {'of the bare one':>19}")
        heads = ("each", "user", "flow", "burst", "each", "flow", "burst", "each", "each", "flow", "burst")
        print("{:<18} {:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>5} {:>5}".format("speed", *heads))
        for name in [name for name in CANDIDATES if name in found.speed]:
            shown = [("each", "us"), ("each", "user"), ("flow", "us"), ("burst", "us"), *((mode, "streams") for mode in MODES)]
            cells = [found.median(name, *which) for which in [*shown, ("each", "waits")]]
            ratios = [found.ratio(name, CANDIDATES[name].bare, mode) for mode in MODES]
            of_bare = ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            line = "{:<18} {:>8.2f} {:>6.2f} {:>6.2f} {:>6.2f} {:>6.1f} {:>6.0f} {:>6.0f} {:>6.2f} {:>7} {:>5} {:>5}"
            print(line.format(name, *cells, *of_bare))
    if found.memory:
        print(f"\nmemory of one of {OPEN:,} idle streams, KiB")
        for name in [name for name in CANDIDATES if name in found.memory]:
            print(f"{name:<20} {statistics.median(found.memory[name]) / 1024:8.1f}")
    if found.imports:
        print("\nimport, ms of processor time beyond what was loaded before")
        for name, times in found.imports.items():
            print(f"{name:<20} {statistics.median(times):8.1f}   after: {IMPORTS[name][0]}")
    print("\ntargets, by the medians")
    for verdict in verdicts(found, parts, names):
        print(f"  {verdict}")


def as_json(found: Found, parts: list[str], names: list[str], streams: int) -> str:
    return json.dumps(
        {
            "python": platform.python_version(),
            "streams": streams,
            "events": EVENTS,
            "missing": [{"part": part, "name": name, "why": why} for (part, name), why in found.missing.items()],
            "speed": found.speed,
            "idle_stream_bytes": found.memory,
            "import_ms": found.imports,
            "targets": [
                {"what": verdict.what, "limit": verdict.limit, "seen": verdict.seen, "reached": verdict.reached}
                for verdict in verdicts(found, parts, names)
            ],
        },
        indent=1,
    )


def with_bare(chosen: Iterable[str]) -> list[str]:
    """The chosen candidates, with the bare libraries of ours among them."""
    wanted = {name for choice in chosen for name in (choice, CANDIDATES[choice].bare)}
    return [name for name in CANDIDATES if name in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description="What does a stream cost from the socket to the event?")
    parts = ["speed", "memory", "imports"]
    only = f"parts or candidates: {', '.join([*parts, *CANDIDATES])}; the bare library of one of ours always runs too"
    parser.add_argument("--quick", action="store_true", help="few streams and rounds: a look, not a measurement")
    parser.add_argument("--rounds", type=int, help="of speed and memory (default 5; 2 with --quick); imports take three times as many")
    parser.add_argument("--streams", type=int, help=f"of {EVENTS} events in each round (default 200; 20 with --quick)")
    parser.add_argument("--pause", type=float, default=PAUSE, metavar="SECONDS", help=f"before each event (default {PAUSE:g})")
    parser.add_argument("--only", nargs="+", default=[], choices=[*parts, *CANDIDATES], metavar="NAME", help=only)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    for option in ("--candidate", "--url"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    for option in ("--serve", "--memory"):
        parser.add_argument(option, action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    rounds: int = args.rounds or (2 if args.quick else 5)
    streams: int = args.streams or (20 if args.quick else 200)
    if args.serve:
        return serve(args.pause)
    if args.candidate:
        return run_candidate(args.candidate, args.url, streams, args.memory)

    wanted = [part for part in parts if part in args.only] or parts
    names = with_bare([name for name in CANDIDATES if name in args.only] or CANDIDATES)
    found = Found()
    if "imports" in wanted:
        measure_imports(imported(names), 3 * rounds, found)
    if "memory" in wanted:
        measure_memory(names, rounds, found)
    if "speed" in wanted:
        measure_speed(names, rounds, streams, args.pause, found)
    if args.json:
        print(as_json(found, wanted, names, streams))
    else:
        print(f"Python {platform.python_version()}; {rounds} rounds of {streams} streams of {EVENTS} events")
        report(found, wanted, names)
    return None


if __name__ == "__main__":
    main()
