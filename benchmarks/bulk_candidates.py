"""The candidates of bulk.py. Each asks about all pictures, at most CONCURRENT at once.

Usage: python bulk_candidates.py NAME URL COUNT BYTES. It prints one JSON object.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from bulk_server import TEXT

CONCURRENT = 32
QUESTION = "What is in this picture?"
_PICTURES = 100  # others are these again, so that they take little memory
_WARM_UP = 2 * CONCURRENT
_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 640, 480, 8, 2, 0, 0, 0, 0)


def data_urls(size: int) -> list[str]:
    """Return pictures of this many bytes, encoded as every candidate sends them.

    Only their heads are real. No client and no server decodes more.
    """
    made = random.Random(14)
    pictures = (_PNG + made.randbytes(size - len(_PNG)) for _ in range(_PICTURES))
    return [f"data:image/png;base64,{base64.b64encode(one).decode()}" for one in pictures]


def bulk(url: str, pictures: list[str], count: int) -> None:
    """`run_bulk` with its ledger, and shards as Parquet. An item has the data URL."""
    from moondream_transports import Client, UrllibTransport
    from moondream_transports.bulk import Item, Template, run_bulk
    from sansio_moondream import Endpoint

    template = Template("query", question=QUESTION)
    items = (Item(f"{at}", pictures[at % len(pictures)]) for at in range(count))
    with (
        tempfile.TemporaryDirectory() as folder,
        UrllibTransport(proxies={}, max_idle=CONCURRENT) as transport,
    ):
        client = Client(transport, Endpoint(f"{url}/v1"))
        summary = run_bulk(client, items, template, Path(folder) / "answers", concurrent=CONCURRENT)
        assert (summary.counts.done, summary.counts.failed) == (count, 0), summary
        (file,) = summary.files
        assert import_module("pyarrow.parquet").read_metadata(file).num_rows == count


def moondream(url: str, pictures: list[str], count: int) -> None:
    """The official client in a pool of threads. It takes a `Base64EncodedImage`."""
    encoded = import_module("moondream.types").Base64EncodedImage
    client = import_module("moondream").vl(endpoint=f"{url}/v1")
    images = [encoded(image_url=picture) for picture in pictures]

    def ask(number: int) -> None:
        answer = client.query(images[number % len(images)], QUESTION)["answer"]
        assert answer == TEXT

    with ThreadPoolExecutor(CONCURRENT) as pool:
        for _ in pool.map(ask, range(count)):
            pass


def openai(url: str, pictures: list[str], count: int) -> None:
    """The package `openai` with tasks and a semaphore. A chat's part has the data URL."""
    asyncio.run(_openai(url, pictures, count))


async def _openai(url: str, pictures: list[str], count: int) -> None:
    library = import_module("openai")
    places = asyncio.Semaphore(CONCURRENT)
    async with library.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

        async def ask(number: int) -> None:
            image = {"type": "image_url", "image_url": {"url": pictures[number % len(pictures)]}}
            content = [image, {"type": "text", "text": QUESTION}]
            messages = [{"role": "user", "content": content}]
            async with places:
                answer = await client.chat.completions.create(model="moondream", messages=messages)
            assert answer.choices[0].message.content == TEXT

        await asyncio.gather(*map(ask, range(count)))


Candidate = Callable[[str, list[str], int], None]
CANDIDATES: dict[str, Candidate] = {"bulk": bulk, "moondream": moondream, "openai": openai}


def measure(candidate: Candidate, url: str, count: int, size: int) -> dict[str, Any]:
    """Return processor time and time for an item."""
    pictures = data_urls(size)
    try:
        candidate(url, pictures, _WARM_UP)
    except ImportError as error:
        return {"missing": str(error)}
    gc.collect()
    gc.freeze()  # what a package loads must not make garbage collection dearer for it
    cpu, wall = time.process_time(), time.perf_counter()
    candidate(url, pictures, count)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"us": cpu / count * 1e6, "per_second": count / wall}


if __name__ == "__main__":
    chosen, address, how_many, how_large = sys.argv[1:]
    print(json.dumps(measure(CANDIDATES[chosen], address, int(how_many), int(how_large))))
