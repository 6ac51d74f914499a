"""The page in a tab of Chromium."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from tests.devtools import Chromium, Page

# What a tab said that no test expects: violations of the policy, and errors of scripts.
_NOTE_ERRORS = """
globalThis.errors = [];
addEventListener('securitypolicyviolation', (event) => errors.push(
  `${event.violatedDirective} ${event.blockedURI}`));
addEventListener('error', ({ message, target }) => errors.push(
  message ?? target.src ?? target.href), true);
addEventListener('unhandledrejection', (event) => errors.push(String(event.reason)));
"""
_KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, " ": 32, "Escape": 27, "Tab": 9}
SHIFT = 8
SELECTED = "new URLSearchParams(location.hash.slice(1)).get('select')"
INSPECTOR = "document.querySelector('play-controls').inspector"
TIME = f"{INSPECTOR}.player.time"


@contextmanager
def opened(
    browser: Chromium,
    url: str,
    size: tuple[int, int] = (1000, 700),
    *,
    dark: bool = False,
    offline: bool = False,
) -> Generator[Page]:
    """Open the page in a new tab while the block lasts, and wait until it shows something.

    Nothing may have gone wrong in it at the end."""
    page = browser.open("about:blank", size, dark=dark)
    page.command("Page.addScriptToEvaluateOnNewDocument", source=_NOTE_ERRORS)
    if offline:
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.command("Network.enable")
        page.command("Network.emulateNetworkConditions", offline=True, **conditions)
    page.go(url)
    wait_until_shown(page)
    yield page
    assert page.evaluate("errors") == []
    page.close()


def wait_until_shown(page: Page) -> None:
    """Wait until a recording is open, or the page says why none is."""
    page.wait_for("document.querySelector('.exchange:not([hidden]), .notice:not([hidden])')")
    page.wait_for("!document.querySelector('main[aria-busy]')")


def press(page: Page, key: str, modifiers: int = 0) -> None:
    """Press a key and release it."""
    text = key if len(key) == 1 else ""
    for kind in ("keyDown", "keyUp"):
        page.command(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code="Space" if key == " " else key,
            text=text if kind == "keyDown" else "",
            modifiers=modifiers,
            windowsVirtualKeyCode=_KEYS.get(key, ord(key[0])),
        )


def text_of(page: Page, selector: str) -> str:
    """Return the text of the first element that a selector finds."""
    text: str = page.evaluate(f"document.querySelector({selector!r}).innerText")
    return text
