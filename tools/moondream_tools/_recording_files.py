"""Recordings as files of a folder: named after what was asked, numbered, and there only when they are whole."""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path

from sansio_moondream.recording import Recording

_UNSAFE = re.compile(r"[^a-z0-9]+")


class RecordingFiles:
    """Writes recordings into a folder, which it makes where it is missing. For several threads at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._last: Counter[str] = Counter()

    def write(self, recording: Recording) -> str:
        """Write a recording, and give its file's name: `query-0001.jsonl`, or the next that is free. Raises OSError."""
        data = recording.encode()
        skill = _UNSAFE.sub("-", recording.header.path.rpartition("/")[2].lower()).strip("-")[:40] or "exchange"
        part, whole = self._reserve(skill)
        try:
            part.write_bytes(data)
            part.replace(whole)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return whole.name

    def _reserve(self, skill: str) -> tuple[Path, Path]:
        """A name that is free. Its first part is made here, which says so to other programs that record into the same folder."""
        with self._lock:
            while True:
                self._last[skill] += 1
                whole = self._folder / f"{skill}-{self._last[skill]:04}.jsonl"
                part = whole.with_suffix(".part")
                try:
                    part.touch(exist_ok=False)
                except FileExistsError:
                    continue
                if not whole.exists():
                    return part, whole
                part.unlink()
