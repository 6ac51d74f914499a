"""The planted bugs that each harness has to find, and the patches in fuzz/bugs made from them.

Where a patch no longer applies, because the code around it was changed, mend its texts here and run
this file again. `find_bugs.py` plants them, one at a time, in a copy of the package, and looks how
soon they are found."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "sansio_moondream"
BOTH = ("records", "stream")


class Bug(NamedTuple):
    name: str
    harnesses: tuple[str, ...]
    about: str
    file: str
    old: str
    new: str


BUGS = (
    Bug(
        "cr-held-back",
        BOTH,
        "A CR that ends a chunk waits for the next one, as an LF might follow: the record that it ends is late.",
        "_records.py",
        """        if self._skip_lf:
            data = data.removeprefix(b"\\n")
        self._skip_lf = False
        if 13 in data:
            self._skip_lf = data.endswith(b"\\r")
""",
        """        if self._skip_lf:
            data = b"\\r" + data
        self._skip_lf = data.endswith(b"\\r")
        data = data.removesuffix(b"\\r")
        if 13 in data:
""",
    ),
    Bug(
        "cr-lf-in-two-chunks",
        BOTH,
        "A CR LF that is cut between two chunks counts as two line ends.",
        "_records.py",
        '            self._skip_lf = data.endswith(b"\\r")\n',
        "",
    ),
    Bug(
        "bom-everywhere",
        BOTH,
        "A byte order mark is dropped from every line, not only from the first.",
        "_records.py",
        """        if self.at_start:
            self.at_start = False
            line = line.removeprefix(BYTE_ORDER_MARK)
""",
        """        self.at_start = False
        line = line.removeprefix(BYTE_ORDER_MARK)
""",
    ),
    Bug(
        "last-blank-line-required",
        BOTH,
        "The last record is lost if its blank line never came.",
        "_records.py",
        """        if self._line:
            self._end_line(b"")
        return self._take_record()
""",
        """        if self._line:
            return self._end_line(b"")
        return None
""",
    ),
    Bug(
        "line-limit-off-by-one",
        BOTH,
        "A line of just the allowed length is refused.",
        "_records.py",
        "        if self._line_size > self._max_bytes:\n",
        "        if self._line_size >= self._max_bytes:\n",
    ),
    Bug(
        "joined-data-not-limited",
        BOTH,
        "Each line of a record is bounded, but not what many of them join to.",
        "_records.py",
        "            if self._data_size > self._max_bytes:\n",
        "            if len(value) > self._max_bytes:\n",
    ),
    Bug(
        "all-spaces-dropped",
        ("records",),
        "All spaces after the colon are dropped, not only the first.",
        "_records.py",
        '            value = line[6:] if line[5:6] == b" " else line[5:]',
        '            value = line[5:].lstrip(b" ")',
    ),
    Bug(
        "name-kept",
        BOTH,
        "A record inherits the event name of a record without data before it.",
        "_records.py",
        """        self._name = b""
        self._data.clear()
""",
        """        if record is not None:
            self._name = b""
        self._data.clear()
""",
    ),
    Bug(
        "half-a-character-dropped",
        ("stream",),
        "Half a character at the end of a chunk is replaced at once, and cannot meet its other half in the next chunk.",
        "_answers.py",
        '"\\ud800" <= text[-1] <= "\\udbff":\n',
        '"\\ud800" <= text[-1] < "\\ud800":\n',
    ),
    Bug(
        "lane-ignores-half",
        ("stream",),
        "The fast lane is open while half a character is held, which then comes out after the text of the lane.",
        "_answers.py",
        "        self.room = 0 if self._held else min(",
        "        self.room = min(",
    ),
    Bug(
        "lane-ignores-completed",
        ("stream",),
        "The fast lane takes a text message with `completed: true` for an ordinary one.",
        "_bodies.py",
        "[event._text for event in events if not event._completed]",
        "[event._text for event in events]",
    ),
    Bug(
        "one-ignores-completed",
        ("stream",),
        "The lane for one record a chunk takes a text message with `completed: true` for an ordinary one.",
        "_bodies.py",
        "        if event._completed:\n            return None\n        self._parser",
        "        self._parser",
    ),
    Bug(
        "lane-ignores-line-end",
        ("stream",),
        "The fast lane takes JSON with a line end between its tokens, which is two lines by the rules of event streams.",
        "_bodies.py",
        ' or 10 in b"".join(payloads):\n',
        ":\n",
    ),
    Bug(
        "lane-ignores-record-limit",
        ("stream",),
        "The fast lane lets records through that are longer than the limit.",
        "_bodies.py",
        "        self._has_lane = limits.max_record_bytes >= 2 * WINDOW\n",
        "        self._has_lane = True\n",
    ),
    Bug(
        "lane-ignores-text-limit",
        ("stream",),
        "What comes through the fast lane is not taken from the room that is left for text.",
        "_bodies.py",
        "                    deltas.room -= size\n",
        "",
    ),
    Bug(
        "lane-ignores-start",
        ("stream",),
        "After records that the fast lane took, a byte order mark is dropped as if the stream began there.",
        "_bodies.py",
        "        self._parser.at_start = False\n        waiting",
        "        waiting",
    ),
    Bug(
        "one-ignores-tail",
        ("stream",),
        "A chunk is put to the beginning of a record that is held without a look whether it ends that.",
        "_bodies.py",
        "            if 10 in data or 13 in data or size > WINDOW:\n",
        "            if size > WINDOW:\n",
    ),
    Bug(
        "one-ignores-record-limit",
        ("stream",),
        "The lane for one record a chunk takes one of any length.",
        "_bodies.py",
        "        if not self._lane_open or size > WINDOW:\n",
        "        if not self._lane_open:\n",
    ),
    Bug(
        "lane-skips-a-record",
        ("stream",),
        "After a record that the fast lane refused, the next one is left out where the lane gives up.",
        "_bodies.py",
        "                next(waiting, None)\n",
        "                next(waiting, None), next(waiting, None)\n                done += 1\n",
    ),
    Bug(
        "leaving-loses",
        ("stream",),
        "Leaving events() early loses the events that were decoded with the ones taken.",
        "_stream.py",
        """        yield self._ready
        while self._advance():
            yield self._ready
        if""",
        """        ready, self._ready = self._ready, iter(())
        yield ready
        while self._advance():
            ready, self._ready = self._ready, iter(())
            yield ready
        if""",
    ),
    Bug(
        "depth-off-by-one",
        ("stream",),
        "A message that nests just as deep as is allowed is refused.",
        "_json.py",
        "_nesting(data)[0] > max_depth:\n",
        "_nesting(data)[0] >= max_depth:\n",
    ),
    Bug(
        "fault-beats-last-record",
        ("stream",),
        "A connection that breaks after an end-of-stream message without its blank line fails an answer that is whole.",
        "_bodies.py",
        """        if self._answer.result is None:
            raise fault or IncompleteStream(""",
        """        if self._answer.result is None or fault is not None:
            raise fault or IncompleteStream(""",
    ),
    Bug(
        "inflated-bytes-lost",
        ("stream",),
        "What was inflated before the fault of a broken compressed body is lost, or not, by how it was cut.",
        "_inflate.py",
        "                fault = self._break(block, plain)\n",
        "                fault = self._break(block, [])\n",
    ),
    Bug(
        "chat-done-is-enough",
        ("stream",),
        "`[DONE]` makes a chat whole though the model never said that it had finished.",
        "_chat.py",
        "        if self._metadata.finish_reason is None:\n            return []\n",
        "",
    ),
    Bug(
        "chat-ends-in-a-record",
        ("stream",),
        "A chat whose body stops in the middle of a record counts as whole, if its finish reason came before that.",
        "_bodies.py",
        "            unfinished = False\n        if self._answer.result is None and fault is None and not unfinished:\n",
        "            unfinished = False\n        if self._answer.result is None and fault is None:\n",
    ),
    Bug(
        "chat-lost-is-whole",
        ("stream",),
        "A chat counts as whole though its connection broke between the finish reason and `[DONE]`.",
        "_bodies.py",
        "        if self._answer.result is None and fault is None and not unfinished:\n",
        "        if self._answer.result is None and not unfinished:\n",
    ),
    Bug(
        "chat-halves-mended-early",
        ("stream",),
        "Half a character at the end of a chat's delta is replaced before it can meet its other half.",
        "_json.py",
        '_CONTINUED = frozenset({"chunk", "text", "choices"})\n',
        '_CONTINUED = frozenset({"chunk", "text"})\n',
    ),
    Bug(
        "chat-half-kept-at-the-end",
        ("stream",),
        "Half a character at the end of a chat's text is lost when the stream ends.",
        "_chat.py",
        '[*self._add("", "", last=True), self._complete(self._last)]',
        "[self._complete(self._last)]",
    ),
    Bug(
        "chat-lane-ignores-id",
        ("stream",),
        "The fast lane takes a chunk with another id, so what is known of it depends on the fragmentation.",
        "_chat.py",
        "        if chunk.id and chunk.id != self.request_id:\n            raise ValueError(payload)\n",
        "",
    ),
    Bug(
        "chat-lane-ignores-depth",
        ("stream",),
        "The fast lane takes chunks that nest deeper than the limit allows.",
        "_chat.py",
        "        self._has_lane = limits.max_json_depth >= _DEPTH\n",
        "        self._has_lane = True\n",
    ),
    Bug(
        "head-limit-off-by-one",
        ("socket",),
        "A head of just the allowed length is refused, if its last byte comes alone.",
        "_http11.py",
        "            if len(self._head) == self._head_allowed:\n",
        "            if len(self._head) + 1 >= self._head_allowed:\n",
    ),
    Bug(
        "early-heads-not-counted",
        ("socket",),
        "Each head is bounded, but not all of them together.",
        "_http11.py",
        "                self._head_allowed -= end\n",
        "",
    ),
    Bug(
        "blank-line-cut",
        ("socket",),
        "The blank line that ends a head is not seen if it comes in two chunks.",
        "_http11.py",
        "max(before - 2, 0)",
        "max(before - 1, 0)",
    ),
    Bug(
        "end-of-input-ends-chunks",
        ("socket",),
        "A body in chunks, or one with a length, is taken for whole if the connection closes in the middle of it.",
        "_http11.py",
        """        if self._told_end:
            raise self._fail(ConnectionLost("the server closed the connection before the end of the body"))
""",
        """        if self._told_end:
            self._finished = True
            return FINISHED
""",
    ),
    Bug(
        "end-of-input-in-head-silent",
        ("socket",),
        "A connection that closes in the middle of a head is no fault.",
        "_http11.py",
        """        if self._ended:
            raise self._fail(ConnectionLost("the server closed the connection before the head of a response was whole"))
""",
        "",
    ),
    Bug(
        "surplus-ignored",
        ("socket",),
        "A connection counts as reusable though there is more in it than was asked for.",
        "_http11.py",
        "bool(self._has_input() or self._connection.trailing_data[0])",
        "bool(self._has_input())",
    ),
    Bug(
        "lane-trusts-the-size",
        ("socket",),
        "A plain chunk counts as whole without the line end behind it.",
        "_http11.py",
        'if data.startswith(b"\\r\\n", end):',
        "if end + 2 <= len(data):",
    ),
    Bug(
        "both-lengths-accepted",
        ("socket",),
        "A head with a length and chunked framing is taken.",
        "_http11.py",
        'if "transfer-encoding" in headers and "content-length" in headers:',
        'if "transfer-encoding" in headers and headers.get("content-length") == "0":',
    ),
    Bug(
        "line-limit-by-fragmentation",
        ("socket",),
        "A line of the chunked framing may be of any length if it comes in one chunk.",
        "_http11.py",
        """            self._room -= len(data)
            self._connection""",
        """                data = view
                self._older.pop()
            self._room = max(self._room - len(data), 0)
            self._connection""",
    ),
    Bug(
        "end-waits-for-more",
        ("socket",),
        "A body without bytes is not at its end before something comes behind it.",
        "_http11.py",
        "        self._starved = False  #",
        "        self._starved = True  #",
    ),
    Bug(
        "empty-chunk-is-surplus",
        ("socket",),
        "An empty chunk after the end counts as something that was not asked for.",
        "_http11.py",
        "        if not data:\n            return\n",
        "",
    ),
)


def patch(bug: Bug) -> str:
    """The bug as text for `git apply`, with what it is about in front of it."""
    before = (PACKAGE / bug.file).read_text("utf-8")
    if before.count(bug.old) != 1:
        raise SystemExit(
            f"{bug.name}: its old text is {before.count(bug.old)} times in {bug.file}, and should be there once"
        )
    after = before.replace(bug.old, bug.new)
    path = f"sansio_moondream/{bug.file}"
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}", n=1
    )
    return f"{bug.about}\nHarness: {', '.join(bug.harnesses)}\n\n{''.join(lines)}"


def main() -> None:
    folder = HERE / "bugs"
    folder.mkdir(exist_ok=True)
    patches = {bug.name: patch(bug) for bug in BUGS}
    for path in folder.glob("*.patch"):
        path.unlink()
    for name, text in patches.items():
        (folder / f"{name}.patch").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
