"""`moondream-stream inspect`: a page that shows a stream, and the server under it.

1. `_store.py` holds the recordings, which are read once. A name is a key of the store, and never a
   path.
2. `_guard.py` says who may ask, `_app.py` answers HTTP requests and errors. `_api.py` is what the
   page asks for, as JSON.
3. `static/` is the page. It decodes nothing: the trace of a recording (`moondream_tools.trace`) has
   all that it shows.
4. `_export.py` makes one file of the page and the traces, which needs no server.
"""
