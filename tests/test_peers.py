"""What goes wrong elsewhere, and not here: the same bytes to every client, and the tables of what
becomes of them, in README.md and in docs/why/compared.md.

`python -m tests.test_peers` writes the tables, and every cell of them is measured; tests/peers.py
says how each client is used. All bytes come from a server on loopback, one HTTP chunk for each
chunk of a row's body.

What makes it fair:

1. A row is what a server, a proxy or a network does to a real stream, and every client reads the
   stream without that fault.
2. A client is judged only on what it means to get right: plain decoders of server-sent events on
   those (and on a broken connection, which their HTTP client sees), openai's also on `{"error": …}`
   inside a stream, which its own service sends too. The other cells hold a dash.
3. What the standard for server-sent events demands is no fault, nor is a limit that can be raised:
   rows where a last event without its blank line is dropped, or a record of 2 MB refused, are left
   out.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.helpers import END, delta, record
from tests.peers import OURS, PEERS, Ask, OneAnswer, sansio_moondream

ROOT = Path(__file__).parent.parent
README, COMPARED = ROOT / "README.md", ROOT / "docs" / "why" / "compared.md"
BEGIN_MARK, END_MARK = (
    "<!-- made by tests/test_peers.py: begin -->\n",
    "<!-- made by tests/test_peers.py: end -->\n",
)

RIGHT, NOT_JUDGED = "right", "\N{EN DASH}"
CLIENTS: dict[str, Ask] = {OURS: sansio_moondream} | {
    name: peer.ask for name, peer in PEERS.items()
}
ALL = frozenset(CLIENTS)
MOONDREAM = frozenset({OURS, "moondream"})

CHUNKS = ["Der Mond", " über", " Wasser"]
DELTAS = [delta(chunk) for chunk in CHUNKS]
MESSAGES = [*DELTAS, END]
RAW_UTF_8 = ["".join(f'data: {{"chunk": "{chunk}"}}\n\n' for chunk in CHUNKS).encode(), END]
LATIN_1 = "text/event-stream; charset=iso-8859-1"
ERROR = {"error": {"message": "out of memory", "type": "server_error"}}


@dataclass(frozen=True)
class Row:
    """The bytes that a server sends, and the correct answer.

    Attributes:
        body: the HTTP chunks of the body.
        text: what a client has to have given out; where there is an error, before it.
        error: what that error has to say (any, if it is ""); None where there is none.
        judged: the clients that mean to get it right.
        framed: the body has the end that HTTP promised.
        in_step: the text of the first chunk has to be given out before the second is sent.
    """

    name: str
    body: list[bytes]
    text: str = "".join(CHUNKS)
    error: str | None = None
    judged: frozenset[str] = ALL
    headers: dict[str, str] = field(default_factory=dict)
    framed: bool = True
    in_step: bool = False

    def chunks(self) -> list[bytes]:
        headers = {
            "Content-Type": "text/event-stream",
            "Transfer-Encoding": "chunked",
        } | self.headers
        head = "".join(
            f"{line}\r\n"
            for line in [
                "HTTP/1.1 200 OK",
                *(f"{name}: {value}" for name, value in headers.items()),
                "",
            ]
        )
        chunks = [
            b"%x\r\n%b\r\n" % (len(chunk), chunk)
            for chunk in [*self.body, *([b""] if self.framed else [])]
        ]
        return [head.encode(), *chunks]


ORDINARY = Row("an ordinary answer", MESSAGES, in_step=True)
ROWS = [
    Row(
        "connection closed between two events",
        DELTAS[:2],
        "".join(CHUNKS[:2]),
        error="",
        framed=False,
    ),
    Row(
        "body ends as HTTP says, without the end-of-stream message",
        DELTAS[:2],
        "".join(CHUNKS[:2]),
        "",
        MOONDREAM,
    ),
    Row(
        '`{"error": …}` inside the stream',
        [DELTAS[0], record(ERROR)],
        CHUNKS[0],
        "out of memory",
        MOONDREAM | {"openai"},
    ),
    Row(
        '`{"error": …}` as a JSON body, with status 200',
        [json.dumps(ERROR).encode()],
        "",
        "out of memory",
        MOONDREAM,
        {"Content-Type": "application/json"},
    ),
    Row(
        "character broken in the chunks, mended in the last event's `answer`",
        [
            delta("Der Mond \ufffd"),
            delta("\ufffdber"),
            delta(" Wasser"),
            record({"completed": True, "answer": "".join(CHUNKS)}),
        ],
        judged=MOONDREAM,
    ),
    Row(
        "character split into UTF-16 surrogates, one in each of two chunks",
        [delta("Mond \ud83c"), delta("\udf19"), END],
        "Mond \N{CRESCENT MOON}",
        judged=MOONDREAM,
    ),
    Row('`"chunk": null`', [*DELTAS, record({"chunk": None}), END], judged=MOONDREAM),
    Row(
        "empty `data: ` to keep the connection alive", [DELTAS[0], b"data: \n\n", *DELTAS[1:], END]
    ),
    Row("no space after `data:`", [message.replace(b"data: ", b"data:") for message in MESSAGES]),
    Row("lines end in CR", [message.replace(b"\n", b"\r") for message in MESSAGES], in_step=True),
    Row("byte order mark", [b"\xef\xbb\xbf" + MESSAGES[0], *MESSAGES[1:]]),
    Row(
        "`charset=iso-8859-1` in the head, UTF-8 in the body",
        RAW_UTF_8,
        headers={"Content-Type": LATIN_1},
    ),
    Row(
        "body compressed with gzip",
        [gzip.compress(b"".join(MESSAGES))],
        headers={"Content-Encoding": "gzip"},
    ),
]


def outcome(ask: Ask, row: Row) -> str:
    """Return "right", or a few words on what a client does with a row."""
    chunks: list[object] = []
    whole: str | None = None
    raised: Exception | None = None
    with OneAnswer(row.chunks(), row.in_step) as server:

        def took(chunk: object) -> None:
            chunks.append(chunk)
            server.took()

        try:
            whole = ask(server.endpoint, took)
        except Exception as error:  # noqa: BLE001 - a peer raises what it likes
            raised = error
    text = "".join(map(str, chunks)) if whole is None else whole
    if raised is not None:
        noticed = row.error is not None and row.error in str(raised) and text == row.text
        return RIGHT if noticed else type(raised).__name__
    if row.error is not None:
        return "silent, short" if text else "silent, empty"
    if None in chunks:
        return "`None` for text"
    if text != row.text:
        return f"silent, {_difference(text, row.text)}"
    return "one event late" if server.was_late else RIGHT


def _difference(text: str, right: str) -> str:
    if not text:
        return "empty"
    if right.endswith(text):
        return "start lost"
    if "\ufffd" in text:
        return "U+FFFD stays"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "lone surrogates"
    return "garbled"


def column(client: str, rows: list[Row]) -> list[str]:
    return [outcome(CLIENTS[client], row) if client in row.judged else NOT_JUDGED for row in rows]


def table(rows: list[Row]) -> str:
    """Measure rows with all clients.

    The clients run side by side, so that nobody waits for those that are late. They are imported
    before: a server waits only some seconds for its client.
    """
    for peer in PEERS.values():
        for module in peer.modules:
            import_module(module)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        patch.setenv("no_proxy", "127.0.0.1")  # for moondream; the others ignore the environment
        columns = list(pool.map(lambda client: column(client, rows), CLIENTS))
    names = [name if name == OURS else f"{name} {version(name)}" for name in CLIENTS]
    cells = zip(*columns, strict=True)
    lines = [[row.name, *outcomes] for row, outcomes in zip(rows, cells, strict=True)]
    return "".join(map(_line, [["what happens", *names], ["---"] * (len(names) + 1), *lines]))


def without_ordinary(measured: str) -> str:
    """The table of the README: that of the page, without the row that is right everywhere."""
    return "".join(line for line in measured.splitlines(True) if f"| {ORDINARY.name} |" not in line)


def dated(measured: str) -> str:
    """The table of the page, with the day."""
    today = datetime.now(UTC).date()
    return f"Measured on {today.isoformat()}:\n\n{measured}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def page_with_table(page: str, new: str) -> str:
    """Return `page` with new text between the two marks."""
    before, _, rest = page.partition(BEGIN_MARK)
    _, _, after = rest.partition(END_MARK)
    return f"{before}{BEGIN_MARK}\n{new}\n{END_MARK}{after}"


def need(peer: str) -> None:
    for module in PEERS[peer].modules:
        pytest.importorskip(
            module, reason=f"needs {peer}, which `make` installs", exc_type=ImportError
        )


@pytest.mark.parametrize("row", [ORDINARY, *ROWS], ids=lambda row: row.name)
def test_here_every_row_is_right(row: Row):
    assert outcome(sansio_moondream, row) == RIGHT


SLOW_TO_IMPORT = {"openai", "anthropic"}


@pytest.mark.parametrize(
    "peer",
    [pytest.param(peer, marks=[pytest.mark.slow] * (peer in SLOW_TO_IMPORT)) for peer in PEERS],
)
def test_every_peer_reads_an_ordinary_answer(peer: str, monkeypatch: pytest.MonkeyPatch):
    need(peer)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert outcome(CLIENTS[peer], ORDINARY) == RIGHT


@pytest.mark.slow
def test_the_pages_have_the_tables():
    for peer in PEERS:
        need(peer)
    measured = table([ORDINARY, *ROWS])
    for file, new in ((README, without_ordinary(measured)), (COMPARED, measured)):
        page = file.read_text("utf-8")
        made = page.partition(BEGIN_MARK)[2].partition(END_MARK)[0]
        assert new in made, "run: python -m tests.test_peers"
    assert re.search(
        r"^Measured on 20\d\d-\d\d-\d\d:\n\n\| what", COMPARED.read_text("utf-8"), re.MULTILINE
    )
    for line in without_ordinary(measured).splitlines()[2:]:
        _, ours, *theirs = line.strip("| ").split(" | ")
        assert ours == RIGHT
        assert set(theirs) - {RIGHT, NOT_JUDGED}, f"nothing goes wrong elsewhere: {line}"


if __name__ == "__main__":
    tables = table([ORDINARY, *ROWS])
    for file, text in ((README, without_ordinary(tables)), (COMPARED, dated(tables))):
        file.write_text(page_with_table(file.read_text("utf-8"), text), "utf-8")
