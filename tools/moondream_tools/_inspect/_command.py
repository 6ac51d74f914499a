"""The command: what is shown, and as a server or as a file."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import webbrowser
from collections.abc import Mapping
from importlib.resources import as_file, files

from moondream_tools._client_arguments import (
    UsageError,
    endpoint_of,
    model_of,
    timeouts_of,
    url_of,
)
from moondream_tools._exchange import Exchange
from moondream_tools._exit import print_error
from moondream_tools._limits import ServerLimits
from moondream_tools._run_server import run_server, write_exchange, write_log
from moondream_tools._status import Exit
from moondream_tools._wording import INSTALL, describe_error

from ._api import Api
from ._app import App
from ._ask import Asker
from ._export import write_page
from ._guard import OwnPageGuard
from ._images import Pictures
from ._store import Store, Unreadable

_GRACE_SECONDS = 0.5  # a page that follows an answer would keep the server until its end
_SHIPPED = files("moondream_tools") / "recordings"


def run_inspect(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Exit:
    """Run the command. Raises UsageError, and OSError for standard output."""
    if arguments.export is not None and arguments.endpoint is not None:
        raise UsageError("--export writes recordings, and --endpoint asks a server: give only one")
    store, pictures, about = _shown(arguments)
    unreadable = [entry for entry in store if isinstance(entry, Unreadable)]
    for entry in unreadable:
        print_error(str(entry))
    if arguments.export is not None:
        if len(unreadable) == len(store):
            raise UsageError("no recording can be read: nothing is written")
        write_page(arguments.export, store, pictures)
        return Exit.USAGE if unreadable else Exit.OK
    api = Api(store, pictures, _asker(arguments, environment, store, pictures))
    app = App(api.values, api.streams)
    ended = asyncio.run(
        run_server(
            app,
            OwnPageGuard(arguments.host),
            ServerLimits(),
            arguments.host,
            arguments.port,
            app.path,
            f"{about}; Ctrl+C stops",
            log=_log,
            on_start=_open if is_opened(arguments.open, environment) else None,
            grace=_GRACE_SECONDS,
        )
    )
    return Exit.OK if ended else Exit.INTERRUPTED


def _shown(arguments: argparse.Namespace) -> tuple[Store, Pictures, str]:
    """Return what is shown, with words for it. Raises UsageError."""
    store = Store()
    sources, images = arguments.recordings, arguments.images
    is_shipped = not sources and arguments.endpoint is None
    with as_file(_SHIPPED) as shipped:
        if is_shipped:
            sources = [str(shipped)]
            images = images or [str(shipped / "harbour.jpg")]
        store.read(sources)
        try:
            pictures = Pictures.read(images)
        except (ValueError, OSError) as error:
            raise UsageError(describe_error(error)) from error
    count = f"{len(store):,} recording{'' if len(store) == 1 else 's'}"
    source = "this program" if is_shipped else ", ".join(sources)
    about = f"{count} of {source}" if sources else f"answers of {arguments.endpoint}"
    return store, pictures, about


def _asker(
    arguments: argparse.Namespace, environment: Mapping[str, str], store: Store, pictures: Pictures
) -> Asker | None:
    """Return what asks the endpoint of the arguments, or None without one. Raises UsageError."""
    if arguments.endpoint is None:
        return None
    url, model = url_of(arguments.endpoint, environment), model_of(arguments, environment)
    endpoint = endpoint_of(arguments, url, model, environment)
    try:
        return Asker(store, pictures, endpoint, timeouts_of(arguments))
    except ModuleNotFoundError:
        raise UsageError(f"--endpoint needs anyio: {INSTALL}") from None


def is_opened(asked: bool | None, environment: Mapping[str, str]) -> bool:
    """Return whether a browser is to be opened.

    Where nobody said so, it is opened on a terminal that has a browser with a window beside it. A
    browser for terminals would take ours.
    """
    if asked is not None:
        return asked
    has_desktop = sys.platform in ("darwin", "win32") or any(
        environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    is_remote = any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_TTY"))
    return sys.stdout.isatty() and has_desktop and not is_remote


def _open(address: str) -> None:
    """Open the page in a browser, in a thread: some browsers only return when they are closed."""

    def open_it() -> None:
        if not webbrowser.open(address):
            write_log("there is no browser to open: open the address in one")

    threading.Thread(target=open_it, daemon=True).start()


def _log(exchange: Exchange) -> None:
    """Write what failed. The page asks for much, and its paths have the token."""
    if exchange.status_code is None or exchange.status_code >= 400:
        exchange.path = "/…/" + exchange.path[1:].partition("/")[2]
        write_exchange(exchange)
