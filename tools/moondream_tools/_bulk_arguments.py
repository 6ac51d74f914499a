"""The arguments of `moondream-stream bulk`."""

from __future__ import annotations

import argparse
from typing import Any

from moondream_transports import Timeouts

from ._client_arguments import (
    add_endpoint,
    add_max_side,
    add_retries,
    add_settings,
    add_timeouts,
)
from ._parser import FileAction, amount, count, typed, whole

CLOUD_RATE = 2.0  # requests a second: the service's limit for a key without a balance
CONCURRENT = 16
FORMATS = ("parquet", "jsonl", "csv")  # of OutputFormat, whose import is slow
RETRIES = 6
MAX_RETRY_AFTER = 3600.0  # seconds: a run lasts for hours, so it can wait as long as a server asks
TOTAL_TIMEOUT = 600.0 + MAX_RETRY_AFTER
GIVE_UP_AFTER = 20
_EPILOG = """\
INPUT is a folder, a picture, a pattern such as 'photos/**/*.jpg', a list of paths (.txt), or a
table (.csv, .jsonl, .parquet) with the columns id, picture (a path, bytes or a data URL) and, for a
query, question. Texts may hold {column}.

Each answer is kept in a ledger beside the output. The same command again goes on where the last
one stopped: what is answered is not asked again. Ctrl+C finishes the requests in flight; a second
one stops at once, and what was in flight will be asked, and billed, again.

exit status: 0 all items done, 2 wrong usage, or a file that cannot be read or written, 3 given up:
refused by the server, 5 given up: no connection, 6 some items failed (--retry-failed asks them
again), 130 interrupted
"""
_MASKS = "add a column of masks, as COCO RLE"
_PLACES = "; may hold {column}"


def add_bulk_command(commands: Any) -> None:
    """Add the parser of `bulk`, with one parser for each skill."""
    bulk: argparse.ArgumentParser = commands.add_parser(
        "bulk",
        help="ask about many pictures, and survive a restart",
        description="Ask the same about many pictures. A run that was stopped goes on where it "
        "stopped. Unofficial.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    skills = bulk.add_subparsers(dest="bulk_skill", metavar="SKILL", required=True)
    query = _add_skill(skills, "query", "ask a question about each picture")
    query.add_argument("--question", metavar="TEXT", help=f"the question{_PLACES}")
    query.add_argument(
        "--reasoning", action="store_true", default=None, help="ask for the reasoning too"
    )
    caption = _add_skill(skills, "caption", "describe each picture")
    caption.add_argument(
        "--length", choices=["short", "normal", "long"], help="the length of the description"
    )
    for skill, about in (
        ("segment", "outline an object in each picture"),
        ("detect", "find the boxes of all objects of a kind in each picture"),
        ("point", "find the centres of all objects of a kind in each picture"),
    ):
        _add_skill(skills, skill, about).add_argument(
            "--object", metavar="TEXT", help=f"a description of the object{_PLACES}"
        )

    _add_export(skills)


def _add_export(skills: Any) -> None:
    about = "write the files of a ledger anew, without asking anything"
    parser = skills.add_parser("export", help=about, description=f"{about.capitalize()}.")
    parser.add_argument(
        "ledger",
        action=FileAction,
        metavar="LEDGER",
        help="_ledger.sqlite in the folder of an output, or FILE.ledger",
    )
    _add_files(parser)
    parser.add_argument("--masks", action="store_true", default=None, help=_MASKS)


def _add_skill(skills: Any, name: str, about: str) -> Any:
    """Add the parser of a skill. Returns its group for what is asked."""
    parser: argparse.ArgumentParser = skills.add_parser(
        name,
        help=about,
        description=f"{about.capitalize()}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs",
        action=FileAction,
        nargs="+",
        metavar="INPUT",
        help="a folder, a pattern, pictures, or a table",
    )
    asked = parser.add_argument_group("what is asked")
    _add_input(parser.add_argument_group("input"), pictures=name != "query")
    _add_output(parser.add_argument_group("output"), masks=name == "segment")
    server = parser.add_argument_group("server")
    add_endpoint(
        server,
        action="append",
        default=[],
        help="the server's address (default: that of MOONDREAM_ENDPOINT, else the cloud's); if it "
        "is repeated, the endpoint that is free soonest is asked",
    )
    add_timeouts(server, Timeouts(total=TOTAL_TIMEOUT))
    _add_pace(parser.add_argument_group("pace"))
    _add_cluster(parser.add_argument_group("cluster"))
    _add_dry_run(parser.add_argument_group("dry run"))
    answer = parser.add_argument_group("answer")
    answer.add_argument(
        "--stream", action="store_true", help="stream answers, so that a broken one leaves a part"
    )
    add_settings(answer)
    return asked


def _add_input(group: Any, *, pictures: bool) -> None:
    group.add_argument("--id-column", metavar="NAME", help="the column with the id (default: id)")
    group.add_argument(
        "--picture-column", metavar="NAME", help="the column with the picture (default: picture)"
    )
    if not pictures:
        group.add_argument(
            "--no-pictures", action="store_true", help="the questions of the table have no pictures"
        )
    group.add_argument(
        "--no-recursive", action="store_true", help="do not read the folders in a folder"
    )
    group.add_argument(
        "--follow-links", action="store_true", help="read links that lead out of a folder"
    )
    group.add_argument(
        "--delimiter", metavar="CHARACTER", help="of a CSV file (default: that of its header)"
    )
    group.add_argument(
        "--encoding", default="utf-8", metavar="NAME", help="of a text file (default: %(default)s)"
    )
    group.add_argument(
        "--limit", type=typed(count), metavar="N", help="ask at most this many items in this run"
    )
    group.add_argument(
        "--retry-failed", action="store_true", help="ask the items again that failed before"
    )
    add_max_side(group)


def _add_output(group: Any, *, masks: bool) -> None:
    _add_files(group)
    if masks:
        group.add_argument("--masks", action="store_true", help=_MASKS)
    group.add_argument(
        "--summary",
        action=FileAction,
        metavar="FILE",
        help="write how the run ended as JSON, - for standard output",
    )


def _add_files(group: Any) -> None:
    group.add_argument(
        "--output",
        action=FileAction,
        metavar="PATH",
        help="a .parquet, .jsonl or .csv file, or a folder for files of --rows-per-shard rows",
    )
    group.add_argument(
        "--format", choices=FORMATS, help="of the files in a folder (default: parquet)"
    )
    group.add_argument(
        "--rows-per-shard",
        type=typed(count),
        metavar="N",
        help="of each file in a folder (default: 10,000; 250 with --via)",
    )


def _add_pace(group: Any) -> None:
    group.add_argument(
        "--rate",
        type=typed(_rate),
        metavar="N",
        help=f"requests that begin each second, or none (default: {CLOUD_RATE:g} in the cloud, "
        "none at --endpoint); for each endpoint",
    )
    group.add_argument(
        "--burst", type=typed(count), metavar="N", help="requests that may begin at once"
    )
    group.add_argument(
        "--concurrent",
        type=typed(count),
        default=CONCURRENT,
        metavar="N",
        help="requests in flight at once (default: %(default)s); for each endpoint",
    )
    add_retries(group, RETRIES)
    group.add_argument(
        "--give-up-after",
        type=typed(whole),
        default=GIVE_UP_AFTER,
        metavar="N",
        help="stop when N requests in a row are refused for the same reason as the next would be: "
        "key, balance, address, no connection (default: %(default)s; 0: never)",
    )


def _add_cluster(group: Any) -> None:
    group.add_argument(
        "--via",
        type=typed(_via),
        metavar="ray[=ADDRESS]",
        help="run on the cluster of Ray at this address, or of RAY_ADDRESS, else on this machine; "
        "--concurrent is for each actor then, and --rate for all together",
    )
    group.add_argument(
        "--actors",
        type=typed(_actors),
        metavar="MIN-MAX",
        help="the smallest and the largest number of actors that ask (default: 1-4)",
    )


def _add_dry_run(group: Any) -> None:
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="ask nothing: say how many items there are, how long they take and what they may cost",
    )
    for name, of in (
        ("per-request", "a request"),
        ("per-million-input", "a million tokens of pictures and questions"),
        ("per-million-output", "a million tokens of answers"),
    ):
        group.add_argument(
            f"--price-{name}", type=typed(amount), metavar="PRICE", help=f"your price of {of}"
        )
    group.add_argument("--currency", default="", metavar="NAME", help="of these prices")
    for name, about in (
        ("--seconds", "that a request takes"),
        ("--input-tokens", "of a request"),
        ("--output-tokens", "of an answer"),
    ):
        group.add_argument(
            name, type=typed(amount), metavar="N", help=f"{about} (default: as in the ledger)"
        )


def _rate(text: str) -> float:
    """Return requests a second, or infinity for no limit. Raises ValueError."""
    if text == "none":
        return float("inf")
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1e6:
        raise ValueError(f"the rate should be a number above 0, or none, not {text[:20]!r}")
    return rate


def _via(text: str) -> str:
    """Return the address of a cluster, or "" for the default one. Raises ValueError."""
    engine, equals, address = text.partition("=")
    if engine != "ray" or (equals and not address):
        raise ValueError(f"the engine should be ray, or ray=ADDRESS, not {text[:40]!r}")
    return address


def _actors(text: str) -> tuple[int, int]:
    """Return the smallest and the largest size of a pool. Raises ValueError."""
    parts = text.split("-")
    sizes = [int(part) for part in parts if part.isascii() and part.isdigit()]
    if len(sizes) != len(parts) or len(sizes) > 2 or not 1 <= sizes[0] <= sizes[-1]:
        raise ValueError(f"the actors should be a range such as 2-8, not {text[:20]!r}")
    return sizes[0], sizes[-1]
