"""All extras but the heavy ones: what they bring can be imported together, and is not large."""

import importlib
import importlib.util
import sysconfig
from pathlib import Path

BROUGHT = (
    *("httpx2", "httpx", "aiohttp", "anyio", "PIL", "numpy", "pyarrow.parquet", "rich"),
    *("hypothesis", "trustme"),
)
HEAVY = ("supervision", "scipy", "matplotlib", "cv2", "ray", "torch", "pandas")
MOST_BYTES = 500_000_000

for name in BROUGHT:
    importlib.import_module(name)
assert [name for name in HEAVY if importlib.util.find_spec(name)] == []
files = Path(sysconfig.get_path("purelib")).rglob("*")
size = sum(file.stat().st_size for file in files if file.is_file())
assert size < MOST_BYTES, f"{size:,} bytes are installed; at most {MOST_BYTES:,} are expected"
