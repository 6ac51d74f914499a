"""Endpoints: addresses and headers that are valid."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sansio_moondream import Endpoint, __version__
from tests.core.endpoints import KEY, QUERY, headers_of


class TestURL:
    @pytest.mark.parametrize(
        ("url", "target"),
        [
            ("https://example.com", "https://example.com/query"),
            ("https://example.com/", "https://example.com/query"),
            ("https://example.com//", "https://example.com/query"),
            ("https://example.com/a/v1/", "https://example.com/a/v1/query"),
            ("https://EXAMPLE.com:8443/v1", "https://EXAMPLE.com:8443/v1/query"),
            ("http://[fe80::1%25eth0]:80/v1", "http://[fe80::1%25eth0]:80/v1/query"),
            ("http://my_host-1.internal/v%201", "http://my_host-1.internal/v%201/query"),
            ("https://xn--hst-sna.example/~me/(1)", "https://xn--hst-sna.example/~me/(1)/query"),
        ],
    )
    def test_good(self, url: str, target: str):
        assert QUERY.to_http(Endpoint(url)).url == target

    def test_a_slash_at_the_end_makes_no_other_endpoint(self):
        assert Endpoint("https://example.com/v1/") == Endpoint("https://example.com/v1")

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("", "one that cannot be read as a URL"),
            ("localhost:2020/v1", "one that cannot be read as a URL"),
            ("//localhost/v1", "'://localhost/v1'"),
            ("https://", "one that cannot be read as a URL"),
            ("https:///v1", "one that cannot be read as a URL"),
            ("https://:443/v1", "one that cannot be read as a URL"),
            ("ftp://example.com", "'ftp://example.com'"),
            ("file:///etc/passwd", "one that cannot be read as a URL"),
            ("https://user@example.com/v1", "'https://example.com/v1'"),
            ("https://user:pw@example.com/v1", "'https://example.com/v1'"),
            ("https://@example.com/v1", "'https://example.com/v1'"),
            ("https://example.com/v1?", "'https://example.com/v1'"),
            ("https://example.com/v1?x=1", "'https://example.com/v1'"),
            ("https://example.com/v1#", "'https://example.com/v1'"),
            ("https://example.com/v1#x", "'https://example.com/v1'"),
            ("https://example.com/v1\r\nX-Evil: 1", "'https://example.com/v1X-Evil: 1'"),
            ("https://exam\nple.com", "'https://example.com'"),
            (" https://example.com", "'https://example.com'"),
            ("https://example.com/v 1", "'https://example.com/v 1'"),
            ("https://example.com/\x7f", r"'https://example.com/\x7f'"),
            ("https://höst.example", "'https://höst.example'"),
            ("https://example.com/é", "'https://example.com/é'"),
            ("https://example.com:port/v1", "'https://example.com/v1'"),
            ("https://example.com:70000/v1", "'https://example.com/v1'"),
            ("https://example.com:0/v1", "'https://example.com/v1'"),
            ("https://exam%70le.com/v1", "'https://exam%70le.com/v1'"),
            ("https://exa<>mple.com/v1", "'https://exa<>mple.com/v1'"),
            ("http://example.com\\.localhost/v1", r"'http://example.com\\.localhost/v1'"),
            ("https://example.com\\@localhost/v1", "'https://localhost/v1'"),
        ],
    )
    def test_bad(self, url: str, shown: str):
        expected = (
            "url should be http(s)://host[:port]/path in ASCII, without user, query, fragment "
            f"and spaces, not {shown}"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
            Endpoint(url)

    @pytest.mark.parametrize("url", ["https://[::1/v1", "https://ex\u2100mple.com"])
    def test_bad_whatever_the_url_parser_says(self, url: str):
        with pytest.raises(ValueError, match=r"^url should be http\(s\)://"):
            Endpoint(url)

    @given(
        st.text()
        | st.text().map("https://example.com/{}".format)
        | st.text().map("https://{}/v1".format)
    )
    @example("https://example.com/\u2028")
    def test_what_is_taken_can_be_written_in_a_request_line(self, url: str):
        try:
            endpoint = Endpoint(url)
        except ValueError:
            return
        target = QUERY.to_http(endpoint).url
        assert re.fullmatch(r"[!-~]+", target)
        assert target.endswith("/query")
        assert not set("?#\\@") & set(target.partition("://")[2].partition("/")[0])


class TestHeaders:
    def test_are_added(self):
        endpoint = Endpoint(headers={"X-Org": "7", "X-Trace": "a, b"})
        assert QUERY.to_http(endpoint).headers[-2:] == (("X-Org", "7"), ("X-Trace", "a, b"))

    def test_as_pairs_may_repeat(self):
        endpoint = Endpoint(headers=(("X-Tag", "a"), ("X-Tag", "b")))
        assert QUERY.to_http(endpoint).headers[-2:] == (("X-Tag", "a"), ("X-Tag", "b"))

    def test_take_the_place_of_this_librarys_own(self):
        endpoint = Endpoint(
            api_key=KEY,
            headers={"user-agent": "mine", "ACCEPT": "*/*", "x-moondream-auth": "other"},
        )
        assert QUERY.to_http(endpoint).headers == (
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            ("user-agent", "mine"),
            ("ACCEPT", "*/*"),
            ("x-moondream-auth", "other"),
        )

    def test_are_copied(self):
        mine = {"X-Org": "7"}
        endpoint = Endpoint(headers=mine)
        mine["X-Org"] = "8"
        assert headers_of(endpoint)["X-Org"] == "7"
        assert endpoint == Endpoint(headers=(("X-Org", "7"),))
        assert hash(endpoint) == hash(Endpoint(headers={"X-Org": "7"}))

    def test_blanks_around_values_are_no_part_of_them(self):
        """See RFC 9110, section 5.5. h11 refuses to send these too."""
        assert headers_of(Endpoint(headers={"X-Org": " 7\t"}))["X-Org"] == "7"

    @pytest.mark.parametrize(
        "name", ["", "X Org", "X-Org:", "X-Org\r\nX-Evil", "X-Org\n", "X-Örg", "X\x00", "(x)"]
    )
    def test_bad_names(self, name: str):
        with pytest.raises(
            ValueError, match="^a header's name has a character that HTTP does not allow there"
        ) as caught:
            Endpoint(headers={name: "7"})
        assert not name or name not in str(caught.value)

    @pytest.mark.parametrize(
        "value", ["7\r\nX-Evil: 1", "7\n", "\r", "a\x00b", "\x1b[31m", "\x7f", "€", "a\u2028b"]
    )
    def test_bad_values(self, value: str):
        for headers in ({"X-Org": value}, (("X-Org", value), ("X-Org", "fine"))):
            with pytest.raises(
                ValueError,
                match="^the value of the header X-Org has a character that HTTP does not allow",
            ):
                Endpoint(headers=headers)
        with pytest.raises(
            ValueError, match="^user_agent_suffix has a character that HTTP does not allow"
        ):
            Endpoint(user_agent_suffix=f"mine/1.0{value}")
        with pytest.raises(ValueError, match="^api_key has a character that HTTP does not allow"):
            Endpoint(api_key=f"{KEY}{value}{KEY}")

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"url": None}, "url should be text, not NoneType"),
            ({"url": b"https://example.com"}, "url should be text, not bytes"),
            ({"api_key": 7}, "api_key should be text, not int"),
            ({"user_agent_suffix": 7}, "user_agent_suffix should be text, not int"),
            ({"headers": {7: "x"}}, "a header's name should be text, not int"),
            (
                {"headers": {"X-Org": None}},
                "the value of the header X-Org should be text, not NoneType",
            ),
        ],
    )
    def test_what_is_not_text(self, options: Any, words: str):
        with pytest.raises(TypeError, match=f"^{words}$"):
            Endpoint(**options)

    @pytest.mark.parametrize(
        ("suffix", "agent"),
        [("mine/1.0", " mine/1.0"), (" mine/1.0 (é)\t", " mine/1.0 (é)"), ("", ""), (" ", "")],
    )
    def test_user_agent(self, suffix: str, agent: str):
        assert (
            headers_of(Endpoint(user_agent_suffix=suffix))["User-Agent"]
            == f"sansio-moondream/{__version__}{agent}"
        )
        assert Endpoint(user_agent_suffix=suffix).user_agent_suffix == (agent.strip() or None)
