"""Generate the sync twins: each file in a folder `_async` gives one in the `_sync` beside it.

    python transports/generate.py            write the twins
    python transports/generate.py --check    fail if the committed twins differ

The keywords `async` and `await` are dropped, names follow `NAMES`, and texts follow `WORDS` too.
What cannot be generated is a pair of primitives with such names: see `_concurrency.py`.
"""

import io
import re
import subprocess
import sys
import tokenize
from itertools import accumulate
from pathlib import Path

HERE = Path(__file__).parent

NAMES = [
    (r"\b_async\b", "_sync"),
    (r"\b_asgi\b", "_wsgi"),
    (r"\b__a(?=(enter|exit|iter|next)__)", "__"),
    (r"\ba(?=(close|iter|next|send|throw|vl)\b)", ""),
    (r"Async(?=[A-Z])", ""),
    (r"(?<![a-z])async_", ""),
]
WORDS = [
    (r"\b([Aa])n (?=`?([Aa]sync|asynchronous|await))", r"\1 "),
    (r"\b(async|asynchronous|await) ", ""),
    (r"\btasks of one event loop\b", "threads"),
    (r"\btask(?=s?\b)", "thread"),
    *NAMES,
]
_TEXTS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def to_sync(source: str) -> str:
    """Translate the tokens of a module. The spaces and line breaks between them stay."""
    lines = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    parts: list[str] = []
    at = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.NAME and token.type not in _TEXTS:
            continue
        start, end = (lines[row - 1] + column for row, column in (token.start, token.end))
        parts.append(source[at:start])
        at = end
        if token.string in ("async", "await") and token.type == tokenize.NAME:
            at += 1  # the space after the keyword
        else:
            rules = NAMES if token.type == tokenize.NAME else WORDS
            parts.append(_replace(source[start:end], rules))
    return "".join([*parts, source[at:]])


def _replace(text: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def twin_of(source: Path) -> bytes:
    """The sync twin of one file, with its header."""
    header = f"# Generated from ../_async/{source.name} by `make generate`; do not edit.\n"
    data = (header + to_sync(source.read_text("utf-8"))).encode()
    for options in (("check", "--fix-only", "--select=F401,I"), ("format",)):
        ruff = [sys.executable, "-m", "ruff", *options, "--quiet", f"--stdin-filename={source}"]
        data = subprocess.run([*ruff, "-"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def main(arguments: list[str]) -> int | str:
    """Write the twins, or compare them. Returns the status to exit with, or why it fails."""
    package = HERE / "moondream_transports"
    sources = sorted(package.rglob("_async/*.py"))
    twins = {path.parent.parent / "_sync" / path.name: twin_of(path) for path in sources}
    stale = sorted(set(package.rglob("_sync/*.py")) - twins.keys())
    changed = [path for path in twins if not path.exists() or path.read_bytes() != twins[path]]
    if arguments == ["--check"]:
        wrong = map(str, [*changed, *stale])
        return "\n  ".join(["run `make generate`; these differ:", *wrong]) if changed + stale else 0
    for path in stale:
        path.unlink()
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(twins[path])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
