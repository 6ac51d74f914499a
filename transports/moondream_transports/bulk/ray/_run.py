"""A run on a cluster: Ray Data reads the items, asks on a pool of actors, and writes the files."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any

from moondream_transports.bulk._encoders import PARQUET_OPTIONS
from moondream_transports.bulk._files import require_number
from moondream_transports.bulk._inputs import count_items
from moondream_transports.bulk._values import Counts, Summary
from sansio_moondream import MoondreamError

from ._asking import AskBatches, Asking
from ._library import require_ray
from ._output import RayOutput
from ._source import make_datasource

_LOGGER = logging.getLogger("moondream_transports")

ROWS_PER_FILE = 250
_CALLS = 2  # batches of an actor at once, so that none waits for the last answer of another
_READ_ROWS = 1000
_OTHER_CPUS = 2  # of the checkpoint's filter, and of a task that makes batches
_FILTER_MEMORY = 150_000_000  # bytes, at least: Ray reserves what the ids take, or a GB if less


def run_bulk_on_ray(
    items: Any,
    output: str | os.PathLike[str],
    asking: Asking,
    *,
    actors: tuple[int, int] = (1, 4),
    num_cpus: float = 0.5,
    rows_per_file: int = ROWS_PER_FILE,
) -> Summary:
    """Ask about each item on the cluster that Ray is connected to, and write Parquet files.

    The rows and their columns are those of `run_bulk`. A run that was stopped, by whatever, is
    continued by calling this again with the same arguments: Ray's checkpoint has the ids of the
    rows that are in the output. What was asked and not written is asked again.

    Args:
        items: those of `read_items`, a list, or a dataset of Ray that was read from somewhere. Its
            columns are as in `read_items`. It needs a column `id` of texts that are unique. Of
            items with the same id only the first is asked, and the log names the others. In a
            dataset nobody looks for them, and a row without an id ends the run.
        output: a folder that all nodes see, as they see the files of the items.
        asking: how each actor asks.
        actors: the smallest and the largest size of the pool. The cluster should have 2 CPUs
            beside the largest one. Without 2 beside the smallest one the run stands still, and a
            warning says so.
        num_cpus: of each actor.
        rows_per_file: of each file, at most. They are answered by one actor and committed
            together. So this is what a kill costs at most, for each batch that an actor has.

    Returns:
        The counts, and the files. Its `ledger` is the folder of the checkpoint.

    Raises:
        LedgerInUse: another run of the cluster uses the same output.
        BulkError: the output has rows of another question.
        ValueError: an argument is out of its range, or the output belongs to something else.
        ModuleNotFoundError: Ray Data is not installed.
        MoondreamError: the run was given up, as each request ended with this error.

    Any other error is one of Ray, or a mistake of a program.
    """
    ray = require_ray()
    smallest, largest = actors
    require_number("the smallest size of actors", smallest, 1)
    require_number("the largest size of actors", largest, smallest)
    require_number("rows_per_file", rows_per_file, 1)
    _warn_of_few_cpus(cpus_needed(smallest, num_cpus))
    began = monotonic()
    place = RayOutput(output, asking)
    with place.locked():
        place.prepare()
        before = place.read()
        context = ray.data.DataContext.get_current().copy()
        context.checkpoint_config = _checkpoint(place)
        context.raise_original_map_exception = True  # otherwise only its text arrives
        with ray.data.DataContext.current(context):
            dataset = _dataset(items, num_cpus)
            dataset = dataset.repartition(target_num_rows_per_block=rows_per_file).map_batches(
                AskBatches,
                fn_constructor_args=(asking, not isinstance(items, ray.data.Dataset)),
                batch_size=None,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(
                    min_size=smallest,
                    max_size=largest,
                    max_concurrent_calls_per_actor=_CALLS,
                    enable_true_multi_threading=True,
                ),
                num_cpus=num_cpus,
            )
            try:
                dataset.write_parquet(
                    str(place.path), ray_remote_args={"num_cpus": num_cpus}, **PARQUET_OPTIONS
                )
            except Exception as error:
                raise _cause(error) from error
        after = place.read()
    counts = _counts(before, after, _total(items))
    return Summary(counts, monotonic() - began, False, tuple(after), place.checkpoint)


def cpus_needed(actors: int, num_cpus: float) -> float:
    """Return how many CPUs a run takes with so many actors of `num_cpus` each, as Ray counts."""
    return _OTHER_CPUS + actors * num_cpus


def _warn_of_few_cpus(needed: float) -> None:
    """Log that the run waits for CPUs. More may come: some clusters grow with their work."""
    there = require_ray().cluster_resources().get("CPU", 0.0)
    if there < needed:
        _LOGGER.warning(
            "the cluster has %g CPUs, and the run stands still until it has %g", there, needed
        )


def _dataset(items: Any, num_cpus: float) -> Any:
    """Return the items as a dataset of Ray."""
    ray = require_ray()
    if not isinstance(items, ray.data.Dataset):
        source = make_datasource(items, _READ_ROWS)
        return ray.data.read_datasource(source, override_num_blocks=1, num_cpus=num_cpus)
    schema = items.schema()
    types = {} if schema is None else dict(zip(schema.names, map(str, schema.types), strict=True))
    if types.get("id") not in ("string", "large_string"):
        raise ValueError(
            "the dataset should have a column id of texts, by which Ray knows what is done; its "
            f"columns: {', '.join(f'{name} ({type_})' for name, type_ in types.items()) or 'none'}"
        )
    return items


def _checkpoint(place: RayOutput) -> Any:
    """Return the configuration of the checkpoint. Its filter takes one CPU, for one actor."""
    checkpoint = import_module("ray.data.checkpoint")
    config = checkpoint.CheckpointConfig(
        id_column="id", checkpoint_path=str(place.checkpoint), delete_checkpoint_on_success=False
    )
    config.checkpoint_actor_pool_max_size = 1
    config.checkpoint_actor_memory_bytes = _FILTER_MEMORY
    return config


def _total(items: Any) -> int | None:
    """Count the items, or return None for a dataset, which would be read for that."""
    return None if isinstance(items, require_ray().data.Dataset) else count_items(items)


def _counts(before: dict[Path, Counts], after: dict[Path, Counts], total: int | None) -> Counts:
    """Return the counts of a run by the files before and after it."""
    counts = Counts(total)
    for file, rows in after.items():
        if file in before:
            counts.skipped += rows.done + rows.failed
            counts.failed_before += rows.failed
        else:
            counts.done += rows.done
            counts.failed += rows.failed
            counts.input_tokens += rows.input_tokens
            counts.output_tokens += rows.output_tokens
            for kind, number in rows.failures.items():
                counts.failures[kind] = counts.failures.get(kind, 0) + number
                counts.examples.setdefault(kind, rows.examples[kind])
    if total is not None:
        counts.duplicates = max(total - counts.skipped - counts.done - counts.failed, 0)
    return counts


def _cause(error: Exception) -> Exception:
    """Return the `MoondreamError` of an actor that is the cause of an error of Ray, or that."""
    seen: list[BaseException] = []
    cause: Any = error
    while isinstance(cause, BaseException) and cause not in seen:
        inner = getattr(cause, "cause", None)  # of an error that Ray has made of that of an actor
        if isinstance(inner, MoondreamError):
            return inner
        seen.append(cause)
        cause = inner or cause.__cause__
    return error
