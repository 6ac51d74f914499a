"""An HTTP/1.1 client over a small backend, under `UrllibTransport` and `AnyioTransport`.

Reading order: `_async/backend.py` (what a backend is), `_async/engine.py` (pool and connecting),
`_async/stream.py` (one exchange). `_sync` is generated from `_async`. `sockets.py` and `streams.py`
(with `asyncio_streams.py`) are the backends. Everything else here is pure, and both forms use it.
"""
