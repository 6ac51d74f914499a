"""A program that test_platforms.py starts: it takes away what only some systems have, then uses us.

The standard library and the libraries of others are imported before, since they are right about
their platform. All of ours is imported after that, and what touches the system is used.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

# Before the platform changes.
import aiohttp  # noqa: F401
import anyio._backends._asyncio  # noqa: F401
import httpx2  # noqa: F401
import hypothesis.strategies  # noqa: F401
import msgspec  # noqa: F401
import PIL.Image
import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401
import rich.live  # noqa: F401
import trustme  # noqa: F401

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "curses", "syslog", "posix")
ATTRIBUTES: tuple[tuple[Any, str], ...] = (
    *((os, name) for name in ("fork", "forkpty", "kill", "killpg", "getuid", "geteuid", "setsid")),
    *((os, name) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "mkfifo")),
    *((os, name) for name in ("fchmod", "getloadavg", "sched_getaffinity", "register_at_fork")),
    *((select, name) for name in ("poll", "epoll", "kqueue", "devpoll")),
    *((selectors, name) for name in ("PollSelector", "EpollSelector", "KqueueSelector")),
    *((socket, name) for name in ("AF_UNIX", "MSG_DONTWAIT", "MSG_NOSIGNAL", "SO_REUSEPORT")),
    *((signal, name) for name in ("SIGHUP", "SIGKILL", "SIGPIPE", "SIGALRM", "SIGUSR1", "SIGQUIT")),
    *((signal, name) for name in ("pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt")),
)
"""What Windows lacks, as its documentation in the library reference says."""

PACKAGES = ("sansio_moondream", "moondream_transports", "moondream_tools")
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


class Refuse(MetaPathFinder):
    """Say of some modules that there is none."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def refuse_folders(path: Any, *arguments: Any, **named: Any) -> int:
    """As os.open on Windows, which opens no folder."""
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))
    return _open(path, *arguments, **named)


def take_away() -> None:
    """Turn the platform into one that has none of it."""
    # There is one on Windows too, of another family.
    socket.socketpair = partial(socket.socketpair, socket.AF_UNIX)
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Refuse())
    for owner, name in ATTRIBUTES:
        if hasattr(owner, name):
            delattr(owner, name)
    os.open = refuse_folders
    asyncio.SelectorEventLoop.add_signal_handler = (  # type: ignore[method-assign]
        asyncio.AbstractEventLoop.add_signal_handler  # raises NotImplementedError
    )
    sys.platform = "win32"


def modules_of(package: str) -> Iterator[str]:
    """Yield the names of all modules of a package, without importing them."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    for path in sorted(folder.rglob("*.py")):
        parts = (package, *path.relative_to(folder).with_suffix("").parts)
        yield ".".join(parts).removesuffix(".__init__")


def import_all() -> int:
    """Import all modules of ours. Returns how many."""
    names = [name for package in PACKAGES for name in modules_of(package)]
    for name in names:
        importlib.import_module(name)
    return len(names)


def use(folder: Path) -> None:
    """Use what touches the system: sockets of each transport, files, locks, signals."""
    import moondream_transports as ours
    from moondream_tools import FakeServer
    from moondream_tools.cli import main as command_line
    from moondream_transports.bulk import Item, Template, run_bulk
    from moondream_transports.conformance import check_transport
    from sansio_moondream import Endpoint

    async def ask(transport: Any) -> str:
        async with transport, ours.AsyncClient(transport, endpoint) as client:
            return (await client.query(question="?")).text

    recordings = folder / "recordings"

    async def ask_many(endpoint: Endpoint, output: Path) -> int:
        items = [Item(str(number), PICTURE) for number in range(3)]
        async with ours.AnyioTransport() as over_anyio:
            recording = ours.AsyncRecordingTransport(over_anyio, ours.RecordingFolder(recordings))
            client = ours.AsyncClient(recording, endpoint)
            summary = await run_bulk(client, items, Template("query", question="?"), output)
            return summary.counts.done

    with FakeServer() as server:
        endpoint = Endpoint(server.url)
        server.answer(text="A moon.", times=9)
        for transport in (
            ours.AiohttpTransport(),
            ours.AnyioTransport(),
            ours.AsyncHttpxTransport(),
        ):
            assert asyncio.run(ask(transport)) == "A moon."
        with ours.HttpxTransport() as over_httpx:
            assert ours.Client(over_httpx, endpoint).query(question="?").text == "A moon."
        with ours.UrllibTransport(proxies={}) as over_urllib:
            recording = ours.RecordingTransport(over_urllib, ours.RecordingFolder(recordings))
            client = ours.Client(recording, endpoint)
            assert client.query(question="?").text == "A moon."
        assert asyncio.run(ask_many(endpoint, folder / "out")) == 3
        print(len(list(recordings.iterdir())), "files are recorded")
        picture = folder / "moon.png"
        PIL.Image.new("RGB", (8, 4)).save(picture)
        assert command_line(["query", str(picture), "?", "--endpoint", server.url]) == 0
    replayed = ours.Client(ours.ReplayTransport(recordings), endpoint)
    assert replayed.query(question="?").text == "A moon."
    print(check_transport(lambda: ours.UrllibTransport(proxies={}), only=["8: *", "33: *"]))


_open = os.open

if __name__ == "__main__":
    take_away()
    print(import_all(), "modules are imported")
    if sys.argv[1] == "serve":
        from moondream_tools.cli import main

        sys.exit(main(sys.argv[1:]))
    use(Path(sys.argv[1]))
