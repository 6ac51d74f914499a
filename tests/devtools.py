"""A real Chromium, driven by the DevTools protocol over its pipes. It needs no other program."""

from __future__ import annotations

import base64
import io
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from PIL import Image

from tests.chromium import PROGRAM

_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
# Chromium reads commands from descriptor 3, and writes to 4.
_ON_3_AND_4 = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_TIMEOUT = 60.0  # seconds
_UNTIL = """new Promise((end) => {
  const look = () => (EXPRESSION ? end(true) : setTimeout(look, 20));
  setTimeout(() => end(false), 50_000);
  look();
})"""


class Chromium:
    """Run Chromium while the block lasts. Its profile is in `folder`."""

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None
        self._left = b""
        self._number = 0
        self._events: list[tuple[str | None, str, dict[str, Any]]] = []  # session, method, params
        reads, self._commands = os.pipe()
        self._answers, writes = os.pipe()
        launch = [sys.executable, "-c", _ON_3_AND_4, str(reads), str(writes)]
        self._process = subprocess.Popen(
            [*launch, PROGRAM, *_OPTIONS, f"--user-data-dir={folder}"],
            pass_fds=(reads, writes),
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._commands)  # it ends by itself then
        try:
            self._process.wait(_TIMEOUT)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._answers)

    def command(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        deadline = monotonic() + _TIMEOUT
        while (answer := self._next_message(deadline)).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for_event(self, method: str, session: str) -> None:
        """Wait for an event that came since the last call of `forget_events`, or comes now."""
        deadline = monotonic() + _TIMEOUT
        while not self.events(method, session):
            self._note(self._next_message(deadline))

    def events(self, method: str, session: str) -> list[dict[str, Any]]:
        """Return the parameters of the events that came since the last call of `forget_events`."""
        return [event[2] for event in self._events if event[:2] == (session, method)]

    def forget_events(self) -> None:
        self._events.clear()

    def _note(self, message: dict[str, Any]) -> None:
        if "method" in message:
            event = message.get("sessionId"), message["method"], message["params"]
            self._events.append(event)

    def _next_message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - monotonic()))
            assert ready, "Chromium does not answer"
            data = os.read(self._answers, 1 << 20)
            assert data, "Chromium has ended"
            self._left += data
        text, _, self._left = self._left.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def open(self, url: str, size: tuple[int, int] = (1000, 700), *, dark: bool = False) -> Page:
        """Return a new tab, in a session of its own: nothing is stored in it."""
        context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=context)
        target_id = target["targetId"]
        session = self.command("Target.attachToTarget", targetId=target_id, flatten=True)
        page = Page(self, session["sessionId"], target_id)
        page.command("Page.enable")
        width, height = size
        page.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.command("Emulation.setEmulatedMedia", features=[scheme])
        page.go(url)
        return page


class Page:
    """One tab."""

    def __init__(self, chromium: Chromium, session: str, target: str) -> None:
        self._chromium = chromium
        self._session = session
        self._target = target

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        return self._chromium.command(method, self._session, **params)

    def go(self, url: str) -> None:
        """Leave this page for another one, and wait until it is loaded."""
        self._chromium.forget_events()
        assert "errorText" not in self.command("Page.navigate", url=url)
        self._chromium.wait_for_event("Page.loadEventFired", self._session)

    def reload(self) -> None:
        self._chromium.forget_events()
        self.command("Page.reload")
        self._chromium.wait_for_event("Page.loadEventFired", self._session)

    def back(self) -> None:
        """Go back to the page before, which may not have been unloaded."""
        self._chromium.forget_events()
        self.command("Runtime.evaluate", expression="history.back()")
        self._chromium.wait_for_event("Page.frameNavigated", self._session)

    def close(self) -> None:
        self._chromium.command("Target.closeTarget", targetId=self._target)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript. A promise is waited for."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        if not self.evaluate(_UNTIL.replace("EXPRESSION", f"({expression})")):
            shown = self.evaluate("document.body.innerText")
            raise AssertionError(f"{expression} does not come true; the page shows {shown!r}")

    def wait_for_event(self, method: str) -> None:
        self._chromium.wait_for_event(method, self._session)

    def events(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of the events of a method since the page was loaded."""
        return self._chromium.events(method, self._session)

    def screenshot(self) -> Image.Image:
        data = self.command("Page.captureScreenshot", format="png")["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
