"""An HTTP/1.1 client over a small backend, under `UrllibTransport` and `AnyioTransport`.

Reading order: `_async/_backend.py` (what a backend is), `_async/_engine.py` (pool and connecting),
`_async/_stream.py` (one exchange). `_sync` is generated from `_async`. `_sockets.py` and `_anyio.py`
are the backends. Everything else here is pure, and both forms use it.
"""
