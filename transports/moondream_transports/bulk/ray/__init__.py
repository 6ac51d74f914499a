"""A bulk run on a cluster of Ray: the same questions, rows and columns, on many machines.

    items -> Ray Data -> actors with a client each -> Parquet files and a checkpoint
                              ^ leases of one limiter

`run_bulk_on_ray` is the whole run. `AskBatches` is its part for `map_batches`, for pipelines of
your own. `_actor` has the limiter of the cluster, and `_leasing` and `_limiter` a worker's side of
it. Needs the extra `ray`.
"""

from ._actor import LimiterActor, RayLimiter, limiter_name
from ._asking import AskBatches, Asking
from ._leasing import SharedLimiter
from ._library import require_ray
from ._limiter import LeasedLimiter
from ._output import count_rows
from ._run import run_bulk_on_ray

__all__ = [
    "AskBatches",
    "Asking",
    "LeasedLimiter",
    "LimiterActor",
    "RayLimiter",
    "SharedLimiter",
    "count_rows",
    "limiter_name",
    "require_ray",
    "run_bulk_on_ray",
]
