# What `moondream_transports.bulk.ray` imports of Ray Data. The type checkers read this instead of
# it, as it is too large to be installed with what `make test` needs.

from collections.abc import Callable, Iterable
from typing import Any

from ray.data.block import BlockMetadata

class Datasource:
    def get_name(self) -> str: ...
    def estimate_inmemory_data_size(self) -> int | None: ...
    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]: ...

class ReadTask:
    def __init__(self, read_fn: Callable[[], Iterable[Any]], metadata: BlockMetadata) -> None: ...
