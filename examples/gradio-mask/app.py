"""Outline an object in a picture, and watch the mask grow: python app.py"""

from __future__ import annotations

import os
from collections.abc import Iterator

import gradio as gr
from PIL import Image

from moondream_transports import Client
from sansio_moondream import Endpoint, MoondreamError, SegmentResult

client = Client(
    endpoint=Endpoint(
        os.environ.get("MOONDREAM_ENDPOINT", Endpoint().url), os.environ.get("MOONDREAM_API_KEY")
    )
)
SHOWN = 40  # a path has hundreds of chunks, and a page needs no more pictures than this


def outline(picture: Image.Image | None, name: str) -> Iterator[tuple[Image.Image, str]]:
    """Yield the picture with the mask so far, and what there is to say about it."""
    if picture is None or not name.strip():
        raise gr.Error("Give a picture, and the name of an object in it.")
    try:
        with client.stream_segment(image=picture, object=name) as stream:
            for number, _ in enumerate(stream):
                if number % SHOWN == 0:
                    yield drawn(picture, stream.snapshot)
            yield drawn(picture, stream.result())
    except MoondreamError as error:
        if isinstance(error.partial, SegmentResult) and error.partial.path:
            yield drawn(picture, error.partial)
        raise gr.Error(str(error)) from error


def drawn(picture: Image.Image, result: SegmentResult | None) -> tuple[Image.Image, str]:
    if result is None or result.bbox is None:
        return picture, "looking"
    share = result.area(picture.size) / (picture.width * picture.height)
    return result.overlay(picture, color="lime"), f"{share:.1%} of the picture"


with gr.Blocks(title="Outline") as app:
    with gr.Row():
        given = gr.Image(type="pil", label="Picture")
        shown = gr.Image(label="Mask", format="png")
    name = gr.Textbox(label="Object", placeholder="the lighthouse")
    said = gr.Textbox(label="Size", interactive=False)
    go = gr.Button("Outline", variant="primary")
    stop = gr.Button("Stop")
    running = gr.on([go.click, name.submit], outline, [given, name], [shown, said])
    stop.click(None, cancels=[running])  # leaves the generator, which closes the stream

if __name__ == "__main__":
    app.launch()
