"""Where requests go: an address that means one thing to everybody, and a key that nobody gets to
see on the way.
"""

from __future__ import annotations

import copy
import pickle
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sansio_moondream import Endpoint, QueryRequest, __version__

KEY = "SECRET-4f1c"
QUERY = QueryRequest(question="?")


def headers_of(endpoint: Endpoint) -> dict[str, str]:
    return dict(QUERY.to_http(endpoint).headers)


class TestKey:
    def test_is_sent(self):
        assert headers_of(Endpoint(api_key=KEY))["X-Moondream-Auth"] == KEY

    @pytest.mark.parametrize("spelling", [f"{KEY}\n", f"{KEY}\r\n", f" {KEY}\t", f"\n{KEY}"])
    def test_from_a_file_with_its_line_end(self, spelling: str, tmp_path: Path):
        (tmp_path / "key").write_text(spelling, newline="")
        endpoint = Endpoint(api_key=(tmp_path / "key").read_text())
        assert headers_of(endpoint)["X-Moondream-Auth"] == endpoint.api_key == KEY
        assert endpoint == Endpoint(api_key=KEY)

    @pytest.mark.parametrize("key", [None, "", " \n"])
    def test_none(self, key: str | None):
        assert Endpoint(api_key=key) == Endpoint()
        assert Endpoint(api_key=key).api_key is None
        assert "X-Moondream-Auth" not in headers_of(Endpoint(api_key=key))

    def test_is_in_no_repr(self):
        endpoint = Endpoint(
            api_key=KEY,
            headers={"Authorization": f"Bearer {KEY}", "X-Org": KEY},
            user_agent_suffix="mine/1.0",
        )
        shown = "<Endpoint https://api.moondream.ai/v1, with a key, headers: Authorization, X-Org>"
        assert repr(endpoint) == str(endpoint) == f"{endpoint}" == shown
        assert repr(Endpoint("http://[::1]:2020/v1")) == "<Endpoint http://[::1]:2020/v1>"
        for holder in ([endpoint], {"to": endpoint}, QUERY.to_http(endpoint)):
            assert KEY not in repr(holder)

    @pytest.mark.parametrize(
        "options",
        [
            {"api_key": f"{KEY}\r\nX-Evil: 1"},
            {"api_key": f"{KEY}\x00"},
            {"api_key": f"{KEY} \u20ac"},
            {"api_key": f"{KEY}\n{KEY}"},
            {"api_key": KEY.encode()},
            {"api_key": [KEY]},
            {"api_key": KEY, "url": "http://example.com"},
            {"api_key": KEY, "url": f"https://user:{KEY}@example.com/v1"},
            {"url": f"https://{KEY}@example.com/v1"},
            {"url": f"https://user:{KEY}@ex\u2100mple.com/v1"},
            {"url": f"https://user:{KEY}@[::1/v1"},
            {"url": f"https://example.com:{KEY}/v1"},
            {"url": f"https://example.com/v1?key={KEY}"},
            {"url": f"https://example.com/v1#{KEY}"},
            {"url": f"user:{KEY}@example.com/v1"},
            {"headers": {f"Authorization: Bearer {KEY}": ""}},
            {"headers": {"Authorization": f"Bearer {KEY}\n"}},
            {"headers": {"Authorization": f"Bearer {KEY}".encode()}},
            {"headers": {"Authorization": f"Bearer {KEY}"}, "url": "http://example.com"},
        ],
    )
    def test_is_in_no_error(self, options: Any):
        with pytest.raises((ValueError, TypeError)) as caught:
            Endpoint(**options)
        shown = "".join(traceback.format_exception(caught.value)) + repr(
            caught.value
        )  # with all that it was caused by
        assert KEY.lower() not in shown.lower()

    def test_survives_pickling_for_another_process_of_ones_own(self):
        endpoint = Endpoint(
            "https://example.com/v1/",
            api_key=f"{KEY}\n",
            headers={"X-Org": "7"},
            user_agent_suffix="mine/1.0",
        )
        for again in (pickle.loads(pickle.dumps(endpoint)), copy.deepcopy(endpoint)):
            assert (again, hash(again)) == (endpoint, hash(endpoint))
            assert headers_of(again) == headers_of(endpoint)


LOOPBACK = [
    "http://localhost",
    "http://LOCALHOST:2020/v1",
    "http://localhost.:2020/v1",
    "http://station.localhost:2020/v1",
    "http://127.0.0.1:2020/v1",
    "http://127.8.9.10",
    "http://[::1]:2020/v1",
    "http://[0:0:0:0:0:0:0:1]/v1",
    "HTTP://[::1]",
]
ELSEWHERE = [
    "http://api.moondream.ai/v1",
    "http://192.168.0.7:2020/v1",
    "http://0.0.0.0:2020/v1",
    "http://[::]/v1",
    "http://[fe80::1]/v1",
    "http://127.0.0.1.example.com/v1",
    "http://127.0.0.1.",
    "http://127.999.0.1",
    "http://2130706433",
    "http://localhost.example.com",
    "http://evillocalhost",
    "http://localhosts",
    "HTTP://example.com",
]


class TestPlainHTTP:
    @pytest.mark.parametrize("url", LOOPBACK)
    def test_a_key_may_go_to_this_machine(self, url: str):
        assert headers_of(Endpoint(url, api_key=KEY))["X-Moondream-Auth"] == KEY

    @pytest.mark.parametrize("url", ELSEWHERE)
    def test_and_nowhere_else(self, url: str):
        with pytest.raises(
            ValueError,
            match="a key would go to .* over plain http, .*: use https, or allow_insecure_key=True",
        ) as caught:
            Endpoint(url, api_key=KEY)
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("url", ELSEWHERE)
    def test_unless_that_is_meant(self, url: str):
        assert (
            headers_of(Endpoint(url, api_key=KEY, allow_insecure_key=True))["X-Moondream-Auth"]
            == KEY
        )

    @pytest.mark.parametrize("url", ELSEWHERE)
    def test_without_a_key_it_is_nobodys_business(self, url: str):
        assert Endpoint(url, headers={"X-Org": "7"}).url == url

    @pytest.mark.parametrize(
        "name",
        ["X-Moondream-Auth", "x-moondream-auth", "Authorization", "Proxy-Authorization", "COOKIE"],
    )
    def test_a_key_in_a_header_is_a_key(self, name: str):
        with pytest.raises(ValueError, match=r"a key would go to example\.com over plain http"):
            Endpoint("http://example.com", headers={name: KEY})
        assert headers_of(Endpoint("http://localhost", headers={name: KEY}))[name] == KEY
        assert headers_of(Endpoint("https://example.com", headers={name: KEY}))[name] == KEY
        assert (
            headers_of(
                Endpoint("http://example.com", headers={name: KEY}, allow_insecure_key=True)
            )[name]
            == KEY
        )


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
        expected = f"url should be http(s)://host[:port]/path in ASCII, without user, query, fragment and spaces, not {shown}"
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
        """RFC 9110, section 5.5; h11 would refuse to send them."""
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


def test_default_is_the_service():
    assert Endpoint() == Endpoint("https://api.moondream.ai/v1")
    assert Endpoint() != Endpoint("https://api.moondream.ai/v2")
    assert Endpoint(api_key=KEY) != Endpoint()


def test_frozen_and_matchable():
    endpoint = Endpoint("http://localhost:2020/v1", api_key=KEY)
    with pytest.raises(AttributeError):
        endpoint.url = "http://elsewhere"  # type: ignore[misc]
    match endpoint:
        case Endpoint(url, str(key)):
            assert (url, key) == ("http://localhost:2020/v1", KEY)
        case _:
            pytest.fail("does not match")
