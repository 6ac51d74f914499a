"""What the requests of all skills share.

Field names, limits and paths are the service's own, from its API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from sansio_moondream._repr import OwnRepr
from sansio_moondream._results import Result
from sansio_moondream._value import Value

from .checks import MAX_NUMBER, check, check_model, is_number
from .endpoint import Endpoint
from .http import HTTPRequest
from .pictured import Pictured


class Settings(OwnRepr, Value, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How the model samples. The server chooses what is None.

    Attributes:
        temperature: 0 and above. A higher one makes the answers vary more.
        top_p: the share of the probability that tokens are drawn from, above 0 and at most 1.
        max_tokens: the length of the answer at most, from 1.
        max_objects: how many objects are found at most, from 1.

    Raises:
        ValueError: a negative temperature, a `top_p` outside of (0, 1], or a count below 1.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_objects: int | None = None

    def __post_init__(self) -> None:
        if (value := self.temperature) is not None:
            valid = is_number(value) and value >= 0
            check(valid, "temperature", "a number of at least 0", value)
        if (value := self.top_p) is not None:
            valid = is_number(value) and 0 < value <= 1
            check(valid, "top_p", "a number above 0 and at most 1", value)
        for name in ("max_tokens", "max_objects"):
            value = getattr(self, name)
            valid = value is None or (type(value) is int and 1 <= value < MAX_NUMBER)
            check(valid, name, "a whole number of at least 1", value)


R_co = TypeVar("R_co", bound=Result, covariant=True)  # a list may mix requests of several kinds


class Request(OwnRepr, Pictured, Generic[R_co], frozen=True, kw_only=True, repr_omit_defaults=True):
    """Base of all requests. Its type parameter is the type of the result.

    Attributes:
        settings: how the model samples. None leaves all to the server.
        model: a model or a finetune (`"moondream3-preview/FINETUNE@STEP"`). None selects the
            endpoint's default model; without one, the server chooses.
        skill: the name of the skill, which is also the end of the path.
        streams: False if the service never streams the answers of this skill.
    """

    settings: Settings | None = None
    model: str | None = None

    skill: ClassVar[str]
    streams: ClassVar[bool] = True
    _PATH: ClassVar[str | None] = None  # after the endpoint's; None: the skill
    _BEARER: ClassVar[bool] = False  # True: the key goes into `Authorization`

    def __post_init__(self) -> None:
        check(isinstance(self.settings, Settings | None), "settings", "a Settings", self.settings)
        check_model(self.model)

    def to_http(
        self, endpoint: Endpoint, stream: bool = True, extra_body: Mapping[str, Any] | None = None
    ) -> HTTPRequest:
        """Build the HTTP request for an endpoint.

        Args:
            endpoint: address, API key and default model.
            stream: True asks for a streamed answer. Detect and point never stream.
            extra_body: fields to add to the JSON body, for what this version does not know. They
                replace fields of the same name.

        Raises:
            TypeError: `extra_body` has a value that JSON does not have.
        """
        body = {name: value for name, value in self._body().items() if value is not None}
        if self.settings is not None:
            settings = msgspec.structs.asdict(self.settings).items()
            body |= self._settings({name: value for name, value in settings if value is not None})
        if (model := self.model or endpoint.model) is not None:
            body["model"] = model
        if self.streams:
            body["stream"] = stream
        body |= extra_body or {}
        accept = "text/event-stream, application/json" if body.get("stream") else "application/json"
        url = self.url_at(endpoint)
        try:
            encoded = msgspec.json.encode(body, enc_hook=_builtin)
        except (TypeError, ValueError) as error:
            fault = error.with_traceback(None)
        else:
            headers = endpoint.request_headers(accept, bearer=self._BEARER)
            return HTTPRequest("POST", url, headers, encoded)
        del body  # it has the picture, and error reporters print local variables
        raise fault

    def url_at(self, endpoint: Endpoint) -> str:
        """Return the address at `endpoint` that the request is sent to."""
        return f"{endpoint.url}/{self._PATH or self.skill}"

    def _body(self) -> dict[str, Any]:
        raise NotImplementedError

    def _settings(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"settings": given}


def _builtin(value: Any) -> Any:
    """Convert subclasses of text and numbers, such as the numbers of NumPy."""
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"the body of a request holds JSON values, not {type(value).__name__}")
