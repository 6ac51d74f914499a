"""A slow decoder that is easy to trust: the expected outcome of any bytes.

It was written from the WHATWG's text ("Parsing an event stream", "Interpreting an event stream"),
RFC 9112, docs/why/wire-format.md and the numbered rules of the core. It shares only the public
value classes with the package, and reads JSON with the standard library. It has the whole input at
once, so it never waits:

    bytes -> lines -> records -> messages -> events

It differs from the standards on purpose, as the package does:

1. The last record counts without its blank line, and without its line end, if its data is one whole
   JSON object or the end of a chat.
2. Invalid UTF-8 in the data of a record is a fault. Elsewhere (comments, other fields) it is
   ignored.
3. Lines and joined data are bounded by `Limits.max_record_bytes`, and data lines in number by
   `max_record_lines`. A byte order mark counts as a part of the first line.

Each event has the number of bytes after which it has to be ready.
"""
