"""The server's half of the protocol: requests from bytes, and errors to bytes.

`_wire/encode.py` has the bytes of events and results.
"""
