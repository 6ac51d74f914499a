"""What the parts of a bulk run hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from moondream_transports._pictures import shown
from sansio_moondream import EncodedImage
from sansio_moondream._repr import OwnRepr, short_repr

Source: TypeAlias = Path | bytes | str | EncodedImage | None


class Item(OwnRepr, frozen=True):
    """One thing to ask about.

    Attributes:
        id: names it in the ledger and in the output. It is unique within an input.
        picture: its path, its bytes, its data URL, what `encode_image` returned, or None for a
            question without a picture.
        fields: the other columns of the input by name, for the template. Values are plain JSON
            types.
        problem: why nothing can be asked about it, with the file and the line or row, or None.
            `Template.request` raises it as a ValueError, so such an item ends as a failed one.
    """

    id: str
    picture: Source = None
    fields: Mapping[str, Any] = {}
    problem: str | None = None

    def __repr__(self) -> str:
        problem = "" if self.problem is None else f", problem={self.problem!r}"
        fields = f", fields={short_repr(self.fields, 200)}" if self.fields else ""
        return f"Item({self.id!r}, {shown(self.picture)}{fields}{problem})"


class Status(StrEnum):
    """How an item ended."""

    DONE = "done"
    FAILED = "failed"


class Row(Struct, frozen=True):
    """One line of the ledger: an item that ended.

    Attributes:
        id: of the item.
        request: a digest of the skill, the settings and the filled template, without the picture,
            or "" if no request could be made.
        model: that was asked for, or "" for the server's choice.
        status: how it ended.
        answer: the JSON of `to_dict()`: of the result, or of the error with its partial.
        attempts: how many were made. 0 if no request could be made of the item.
        seconds: from the opening of the exchange to its end, with the wait for its turn.
        width, height: of the picture that was sent, in pixels, for the mask of a segmentation. None
            if it is unknown, and for other skills.
        finished_at: seconds of `time.time()`.
    """

    id: str
    request: str
    model: str
    status: Status
    answer: bytes
    attempts: int
    seconds: float
    width: int | None
    height: int | None
    finished_at: float


class OutputFormat(StrEnum):
    """The files that a run writes."""

    PARQUET = "parquet"
    JSON_LINES = "jsonl"
    CSV = "csv"


class Counts(Struct):
    """How far a run is. One object, which the run changes as it goes.

    Attributes:
        total: items of the input, or None while it is not known.
        skipped: were in the ledger when the run came to them.
        failed_before: of the skipped ones, those that had ended with an error.
        duplicates: were not asked, as the same question with their id came before in the input.
        duplicate_ids: of the first of these.
        done, failed: ended in this run.
        in_flight: are being asked now.
        input_tokens, output_tokens: of the answers of this run, as far as servers report them.
        failures: failed items by the class of their error.
        examples: by the class, the first item that failed so in this run: its id and the message.
    """

    total: int | None = None
    skipped: int = 0
    failed_before: int = 0
    duplicates: int = 0
    duplicate_ids: list[str] = []
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    failures: dict[str, int] = {}
    examples: dict[str, str] = {}


class Summary(Struct, frozen=True):
    """How a run ended.

    Attributes:
        counts: at the end.
        seconds: that the run took.
        interrupted: it was stopped before the end of its input.
        files: what the output consists of, in order.
        ledger: its file.
    """

    counts: Counts
    seconds: float
    interrupted: bool
    files: tuple[Path, ...]
    ledger: Path
