"""Questions of the page to a server: each becomes a recording, which the page follows.

1. The key is in the endpoint, which only the client here has. Recordings, updates and errors have
   it masked, wherever the server quotes it: see `sansio_moondream.recording` and `_live.py`.
2. A few exchanges may be under way at once. Recordings and pictures are kept within limits: the
   oldest are dropped.
3. `ask` and `cancel` are called in threads, and all else in the event loop.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from moondream_tools._exchange import Exchange
from moondream_tools._wording import advice, describe_error
from moondream_transports import AsyncClient, AsyncRecordingTransport, AsyncTransport, Timeouts
from sansio_moondream import (
    Endpoint,
    MoondreamError,
    PayloadTooLargeError,
    RateLimitError,
    Request,
)
from sansio_moondream.recording import Recorder, Recording, RecordingHeader

from ._answers import Refused
from ._asked import SKILLS, request_of
from ._live import Live
