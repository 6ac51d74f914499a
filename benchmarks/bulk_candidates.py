"""The candidates of bulk.py. Each asks about all pictures, at most CONCURRENT at once.

Usage: python bulk_candidates.py NAME URL COUNT SIZE. It prints one JSON object.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from bulk_server import TEXT
from PIL import Image

CONCURRENT = 32
QUESTION = "What is in this picture?"
_PICTURES = 20  # others are these again, so that they take little memory
_WARM_UP = 2 * CONCURRENT


def data_urls(width: int, height: int) -> list[str]:
    """Return photographs of this size, encoded as the official client encodes them.

    They are blurred noise with some grain. JPEG makes about 3 bits of each of their pixels, as of
    a photograph.
    """
    made = random.Random(14)
    urls: list[str] = []
    for _ in range(_PICTURES):
        small = Image.frombytes("RGB", (20, 15), made.randbytes(20 * 15 * 3))
        grain = Image.frombytes("RGB", (width, height), made.randbytes(width * height * 3))
        picture = Image.blend(small.resize((width, height), Image.Resampling.BICUBIC), grain, 0.05)
        with io.BytesIO() as data:
            picture.save(data, "JPEG", quality=95)
            urls.append(f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}")
    return urls


def bulk(url: str, pictures: list[str], count: int) -> None:
    """`run_bulk` with its ledger, and shards as Parquet. An item has an `EncodedImage`."""
    asyncio.run(_bulk(url, pictures, count))


async def _bulk(url: str, pictures: list[str], count: int) -> None:
    from moondream_transports import AnyioTransport, AsyncClient
    from moondream_transports.bulk import Item, Template, run_bulk
    from sansio_moondream import EncodedImage, Endpoint

    images = [EncodedImage(picture) for picture in pictures]
    template = Template("query", question=QUESTION)
    items = (Item(f"{at}", images[at % len(images)]) for at in range(count))
    with tempfile.TemporaryDirectory() as folder:
        async with AnyioTransport(max_idle=CONCURRENT) as transport:
            client, output = AsyncClient(transport, Endpoint(f"{url}/v1")), Path(folder) / "answers"
            summary = await run_bulk(client, items, template, output, concurrent=CONCURRENT)
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


def measure(candidate: Candidate, url: str, count: int, size: str) -> dict[str, Any]:
    """Return processor time and time for an item."""
    pictures = data_urls(*map(int, size.split("x")))
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
    print(json.dumps(measure(CANDIDATES[chosen], address, int(how_many), how_large)))
