"""How much one response may make the decoder hold or do."""

from msgspec import Struct

MAX_JSON_DEPTH = 200
"""The largest `Limits.max_json_depth`: a deeper value may exhaust Python's stack, by default 1,000
calls, of which the caller has used some."""


class Limits(Struct, frozen=True):
    """Upper bounds of one `ResponseStream`. A server that exceeds one causes `LimitExceeded`.

    The defaults are far above any real answer: they stop a broken or hostile server, not a long
    answer.

    Attributes:
        max_record_bytes: bytes of one line of the event stream, of the joined data of one record,
            and of a whole JSON body.
        max_record_lines: `data` lines of one record.
        max_error_body_bytes: bytes of an error answer's body that are read. A longer body is cut
            short and raises no `LimitExceeded`.
        max_text_bytes: bytes of UTF-8 of all text or path chunks of one answer. The reasoning of a
            chat has the same limit of its own.
        max_json_depth: how deep the arrays and objects of one message may nest; at most 200.
        max_json_values: values of one message or JSON body, counted as the commas and opening
            brackets outside its strings. The groundings of a chat's reasoning and their points
            have the same limit, over all messages.
        max_inflate_ratio: inflated bytes for each compressed byte, after the first 2 MiB. A line
            end or a backslash counts as 80 bytes, an opening bracket or a comma as 10, as they cost
            more work.
    """

    max_record_bytes: int = 16 * 1024 * 1024
    max_record_lines: int = 20_000
    max_error_body_bytes: int = 64 * 1024
    max_text_bytes: int = 64 * 1024 * 1024
    max_json_depth: int = 64
    max_json_values: int = 20_000
    max_inflate_ratio: int = 50

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(
                    f"Limits.{name} must be a whole number of at least 1, not {value!r}"
                )
        if self.max_json_depth > MAX_JSON_DEPTH:
            raise ValueError(
                f"Limits.max_json_depth must be at most {MAX_JSON_DEPTH}, not "
                f"{self.max_json_depth}: a deeper value may exhaust Python's stack"
            )
