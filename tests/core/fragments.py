"""Fragments of streams, right and wrong.

What is drawn from them meets itself at odd borders, as bytes from a network do.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.helpers import record

fragments = st.one_of(
    st.sampled_from(
        [
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"\r\r",
            b"\xef\xbb\xbf",
            b":\n",
            b": ping\n\n",
            b"data",
            b"data:",
            b"data: ",
            b"event: error\n",
            b"id: 1\n",
            b"\n\ndata: ",
            b"{",
            b"}",
            b'{"chunk": "',
            b'"}',
            b"\xff",
            b"\\ud83c",
            b"\\udf19",
            b'"',
            b"[" * 70,
            b"null",
            b'data: {"completed": true}',
            b'data: {"chunk": "a", "completed": true}\n\n',
            b'data: {"chunk": "a"}\n\n' * 3,
            b'data: {"chunk": "a",\n"token_index": 1}\n\n',
            b'data: {"chunk": "a"}{"chunk": "b"}\n\n',
            b'data: {"chunk": ""}\n\n',
            b'data: {"chunk": "x", "chunk": "y"}\n\n',
            b'data: {"chunk": null, "token_index": "z"}\n\n',
            b'data: {"error": "boom"}\n\n',
            b'data: {"chunk": "a\\ud83c"}\n\n',
            b'data: {"chunk": "\\udf19b"}\n\n',
            b'data: {"type": "path_delta", "chunk": "M 0 0"}\n\n',
            b'data: {"type": "bbox", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}}\n\n',
            b"data: [DONE]\n\n",
            (
                b'data: {"id": "7", "choices": [{"index": 0, "delta": {"content": "a"}, '
                b'"finish_reason": null}]}\n\n'
            )
            * 2,
            b'data: {"choices": [{"delta": {"content": "a\\ud83c", "reasoning": "\\udf19"}}]}\n\n',
            b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
            b'{"choices": [{"',
            b'delta": {"',
        ]
    ),
    st.builds(lambda text: record({"chunk": text}), st.text(max_size=5)),
    st.builds(
        lambda text: b'data: {"chunk": "' + text.encode("utf-8", "replace") + b'"}\n\n',
        st.text(max_size=5),
    ),
    st.binary(max_size=6),
)
