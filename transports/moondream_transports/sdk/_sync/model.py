# Generated from ../_async/model.py by `make generate`; do not edit.
"""The surface: `vl` and its model."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from moondream_transports import (
    Client,
    ClientStream,
    Hooks,
    Limiter,
    RetryPolicy,
    Timeouts,
    Transport,
)
from moondream_transports._defaults import default_transport
from moondream_transports.sdk._forms import FORMS, output_for
from moondream_transports.sdk._inputs import (
    Base64EncodedImage,
    Picture,
    SamplingSettings,
    SpatialRef,
    chat_settings,
    encoded,
    extra_body,
    make_endpoint,
    require_endpoint,
)
from moondream_transports.sdk._outputs import (
    CaptionOutput,
    ChatOutput,
    DetectOutput,
    PointOutput,
    QueryOutput,
    SegmentOutput,
    SegmentUpdate,
    Texts,
)
from sansio_moondream import (
    CaptionRequest,
    ChatRequest,
    DetectRequest,
    Limits,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
)

from .parts import Parts


def vl(
    api_key: str | None = None,
    endpoint: str | None = None,
    local: bool = False,
    model: str | None = None,
    *,
    transport: Transport | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    hooks: Hooks | None = None,
    retries: RetryPolicy | None = None,
    limiter: Limiter | None = None,
    allow_insecure_key: bool = False,
) -> VL:
    """Make a model behind an endpoint. The default endpoint is the cloud's.

    Args:
        api_key, endpoint, local, model: as in the documented SDK.
        transport: sends the requests. The default one opens a connection for each request.
        timeouts, limits, hooks, retries, limiter: see `Client`.
        allow_insecure_key: see `Endpoint`.

    Raises ValueError for `local=True`, and for a key that would be sent over plain http.
    """
    made = make_endpoint(api_key, endpoint, local, allow_insecure_key)
    del api_key  # error reporters print local variables
    client = Client(
        transport or default_transport(max_idle=0),
        require_endpoint(made),
        timeouts=timeouts,
        limits=limits,
        hooks=hooks,
        retries=retries,
        limiter=limiter,
    )
    return VL(client, model)


class VL:
    """The documented methods, and the dictionaries that they return.

    Each method raises the errors of `sansio_moondream`. With `stream=True` the call sends the
    request, and the answer is a generator. Close it with `close()`, or drop it, to stop the
    answer.

    Images are paths, or anything that `encode_image` takes. `vl` makes a model; the constructor
    takes any client.

    Args:
        client: sends the requests.
        model: the model of each request. None leaves it to the endpoint.
    """

    def __init__(self, client: Client, model: str | None = None) -> None:
        self._client = client
        self._model = model

    def encode_image(self, image: Picture) -> Base64EncodedImage:
        """Encode `image` once for several requests. A path is read where this is called."""
        return Base64EncodedImage(encoded(image).data_url)

    def caption(
        self,
        image: Picture,
        length: Literal["normal", "short", "long"] = "normal",
        stream: bool = False,
        settings: SamplingSettings | None = None,
    ) -> CaptionOutput[Texts]:
        """Describe an image. `["caption"]` is text, or a generator of its chunks.

        The arguments are those of `CaptionRequest`, and `stream`.
        """
        request = CaptionRequest(image=encoded(image), length=length, model=self._model)
        output: CaptionOutput[Texts] = self._ask(request, settings, stream, "caption")
        return output

    def query(
        self,
        image: Picture | None = None,
        question: str | None = None,
        stream: bool = False,
        settings: SamplingSettings | None = None,
        reasoning: bool = False,
        spatial_refs: Iterable[SpatialRef] | None = None,
    ) -> QueryOutput[Texts]:
        """Ask a question. `["answer"]` is text, or a generator of its chunks.

        The arguments are those of `QueryRequest`, and `stream`.
        """
        if question is None:
            raise ValueError("question parameter is required")
        request = QueryRequest(
            question=question,
            image=None if image is None else encoded(image),
            reasoning=reasoning or None,
            spatial_refs=spatial_refs,
            model=self._model,
        )
        output: QueryOutput[Texts] = self._ask(request, settings, stream, "answer")
        return output

    def chat(
        self,
        messages: Iterable[Mapping[str, Any]],
        stream: bool = False,
        settings: SamplingSettings | None = None,
        reasoning: bool | None = None,
    ) -> ChatOutput[Texts]:
        """Continue a conversation.

        `["message"]` is the next message, or a generator of the chunks of its text.

        The arguments are those of `ChatRequest`, and `stream`.
        """
        request = ChatRequest(
            messages=messages,
            reasoning=reasoning,
            settings=chat_settings(settings),
            model=self._model,
        )
        output: ChatOutput[Texts] = self._ask(request, None, stream, "message")
        return output

    def segment(
        self,
        image: Picture,
        object: str,
        spatial_refs: Iterable[SpatialRef] | None = None,
        stream: bool = False,
        settings: SamplingSettings | None = None,
    ) -> SegmentOutput | Generator[SegmentUpdate, None]:
        """Outline an object.

        Returns a dictionary, or a generator of updates. The last one has `["completed"]`.

        The arguments are those of `SegmentRequest`, and `stream`.
        """
        request = SegmentRequest(
            image=encoded(image),
            object=object,
            spatial_refs=spatial_refs,
            model=self._model,
        )
        if stream:
            return Parts(self._open(request, settings), FORMS["segment"].part)
        output: SegmentOutput = self._send(request, settings)
        return output

    def detect(
        self, image: Picture, object: str, settings: SamplingSettings | None = None
    ) -> DetectOutput:
        """Find the boxes of all such objects.

        The arguments are those of `DetectRequest`.
        """
        request = DetectRequest(image=encoded(image), object=object, model=self._model)
        output: DetectOutput = self._send(request, settings)
        return output

    def point(
        self,
        image: Picture,
        object: str,
        settings: SamplingSettings | None = None,
        spatial_refs: Iterable[SpatialRef] | None = None,
    ) -> PointOutput:
        """Find the centres of all such objects.

        The arguments are those of `PointRequest`.
        """
        request = PointRequest(
            image=encoded(image),
            object=object,
            spatial_refs=spatial_refs,
            model=self._model,
        )
        output: PointOutput = self._send(request, settings)
        return output

    def close(self) -> None:
        """Do nothing: no connection is open between two calls. Close your own transport."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(
        self, request: Request[Any], settings: SamplingSettings | None, stream: bool, name: str
    ) -> Any:
        """Return the answer, or a dictionary with a generator of its text as field `name`."""
        if not stream:
            return self._send(request, settings)
        opened = self._open(request, settings)
        output = output_for(name, request)
        output[name] = Parts(opened, FORMS[request.skill].part, output)
        output["request_id"] = opened.request_id
        return output

    def _send(self, request: Request[Any], settings: SamplingSettings | None) -> Any:
        result = self._client.send(request, extra_body=extra_body(settings))
        return FORMS[request.skill].whole(result)

    def _open(self, request: Request[Any], settings: SamplingSettings | None) -> ClientStream[Any]:
        stream = self._client.stream(request, extra_body=extra_body(settings))
        return stream.__enter__()
