"""What the arguments of `moondream-stream bulk` mean: its items, its template and its output."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from moondream_transports.bulk import Item, OutputFormat, Template, read_items

from ._client_arguments import UsageError, model_of, settings_of

_FIELDS = ("question", "object", "length", "reasoning")


def output_of(arguments: argparse.Namespace) -> str:
    output: str | None = arguments.output
    if output is None:
        raise UsageError("name the file or the folder for the answers with --output")
    return output


def format_of(arguments: argparse.Namespace) -> OutputFormat | None:
    return None if arguments.format is None else OutputFormat(arguments.format)


def make_template(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Template:
    """Return what is asked about each item. Raises ValueError, TypeError or ModuleNotFoundError."""
    given: dict[str, Any] = {
        name: value for name in _FIELDS if (value := getattr(arguments, name, None)) is not None
    }
    return Template(
        arguments.bulk_skill,
        **given,
        settings=settings_of(arguments),
        model=model_of(arguments, environment),
        max_side=arguments.max_side,
    )


def make_items(arguments: argparse.Namespace, template: Template) -> Iterable[Item]:
    """Return the items of the input. Raises ValueError, OSError or ModuleNotFoundError."""
    return read_items(
        arguments.inputs,
        template=template,
        id_column=arguments.id_column,
        picture_column=arguments.picture_column,
        pictures=not getattr(arguments, "no_pictures", False),
        recursive=not arguments.no_recursive,
        follow_links=arguments.follow_links,
        delimiter=arguments.delimiter,
        encoding=arguments.encoding,
    )
