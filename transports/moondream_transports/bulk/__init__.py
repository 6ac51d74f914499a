"""Many pictures: a run over all items of an input, which survives its end.

    items -> template -> requests -> client -> ledger -> files

`_inputs` reads items, `_template` makes their requests, `_run` asks them through a client and
commits each answer in the ledger (`_ledger`), from which the files (`_outputs`) are derived.
"""

from ._estimate import Estimate, Prices, estimate
from ._files import export
from ._inputs import count_items, read_items
from ._ledger import BulkError, LedgerInUse
from ._preview import Preview, preview
from ._refusals import Refusals
from ._run import run_bulk
from ._template import Template
from ._values import Counts, Item, OutputFormat, Row, Status, Summary

__all__ = [
    "BulkError",
    "Counts",
    "Estimate",
    "Item",
    "LedgerInUse",
    "OutputFormat",
    "Preview",
    "Prices",
    "Refusals",
    "Row",
    "Status",
    "Summary",
    "Template",
    "count_items",
    "estimate",
    "export",
    "preview",
    "read_items",
    "run_bulk",
]
