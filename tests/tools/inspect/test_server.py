"""The server of the page: who may ask, what is answered, and what never is a path."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from moondream_tools._client_arguments import UsageError
from moondream_tools._inspect._store import Store
from moondream_tools._limits import MAX_BODY_BYTES
from sansio_moondream import TRANSITIONS, State
from sansio_moondream.recording import Ending, Recording, RecordingHeader
from tests.helpers import PIXEL
from tests.tools.inspect.page_server import HARBOUR, SHIPPED, Served, named, serving

_SKILLS = ["caption", "chat", "detect", "point", "query", "segment"]


class TestWhoMayAsk:
    @pytest.mark.parametrize("path", ["/", "/api/recordings", "/{token}x/", "/x{token}/", "//"])
    def test_without_the_token_nothing_is_there(self, shipped: Served, path: str) -> None:
        reply = shipped.request("GET", path.format(token=shipped.path.strip("/")))
        assert (reply.status, reply.json) == (404, {"error": {"message": "Not Found"}})
        assert shipped.path.strip("/") not in str(reply)

    def test_the_token_alone_leads_to_the_page(self, shipped: Served) -> None:
        reply = shipped.request("GET", shipped.path.rstrip("/"))
        assert (reply.status, reply.headers["location"]) == (308, shipped.path)

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Host": "evil.example"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "http://127.0.0.1:1"}, 403),
            ({"Origin": "http://[x"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "{own}"}, 200),
            ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 200),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 200),
            ({"Sec-Fetch-Site": "none"}, 200),
        ],
    )
    def test_other_pages_are_refused(
        self, shipped: Served, headers: dict[str, str], status: int
    ) -> None:
        own = f"http://127.0.0.1:{shipped.port}"
        fields = {name.replace("-", "_"): value.format(own=own) for name, value in headers.items()}
        reply = shipped.ask("api/recordings", **fields)
        assert reply.status == status, reply
        assert "access-control-allow-origin" not in reply.headers

    def test_every_answer_has_its_headers(self, shipped: Served) -> None:
        for path in (
            "",
            "static/page.js",
            "api/recordings",
            "api/nothing",
            "api/image/query.jsonl",
        ):
            headers = shipped.ask(path).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
            assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"


class TestTheFilesOfThePage:
    def test_types(self, shipped: Served) -> None:
        assert shipped.ask("").headers["content-type"] == "text/html; charset=utf-8"
        script = shipped.ask("static/page.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert shipped.ask("static/page.css").headers["content-type"] == "text/css; charset=utf-8"
        head = shipped.ask("static/page.js", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) == len(script.body)

    @pytest.mark.parametrize(
        "name",
        [
            "static/",
            "static/none.js",
            "static/../_app.py",
            "static/..%2f_app.py",
            "static/%2e%2e/_app.py",
            "static//etc/passwd",
            "static/page.js/",
            "static",
            "api",
            "api/",
            "api/none/x",
            "none",
        ],
    )
    def test_what_is_not_there(self, shipped: Served, name: str) -> None:
        assert shipped.ask(name).status == 404

    def test_methods(self, shipped: Served) -> None:
        for method in ("PUT", "DELETE", "OPTIONS"):
            reply = shipped.ask("", method=method)
            assert (reply.status, reply.headers["allow"]) == (405, "HEAD, GET")
            reply = shipped.ask("api/trace/query.jsonl", method=method)
            assert (reply.status, reply.headers["allow"]) == (405, "HEAD, GET")
        assert shipped.ask("api/recordings", {}).status == 405


class TestRequestsWithABody:
    def test_they_are_json(self, shipped: Served) -> None:
        path = f"{shipped.path}api/break/query.jsonl"
        for body, kind, status, words in (
            ("{}", "text/plain", 415, "should be application/json, not 'text/plain'"),
            ("{}", "application/x-www-form-urlencoded", 415, "should be application/json"),
            ("{", "application/json", 400, "the request is not JSON"),
            ("[" * 100 + "]" * 100, "application/json", 400, "nests deeper than 64"),
        ):
            reply = shipped.request("POST", path, body, content_type=kind)
            assert (reply.status, words in reply.json["error"]["message"]) == (status, True), reply

    @pytest.mark.slow
    def test_they_are_not_too_large(self, shipped: Served) -> None:
        body = '"' + "x" * MAX_BODY_BYTES + '"'
        path = f"{shipped.path}api/ask"
        reply = shipped.request("POST", path, body, content_type="application/json")
        assert reply.status == 413


class TestTheList:
    def test_recordings(self, shipped: Served) -> None:
        listed = shipped.ask("api/recordings").json
        assert [each["name"] for each in listed["recordings"]] == [f"{s}.jsonl" for s in _SKILLS]
        segment = listed["recordings"][-1]
        assert segment == {
            "name": "segment.jsonl",
            "method": "POST",
            "path": "/v1/segment",
            "skill": "segment",
            "status_code": 200,
            "seconds": segment["seconds"],
            "chunks": 120,
            "bytes": 18_946,
            "ending": "eof",
            "image": "recorded",
        }
        assert 3 < segment["seconds"] < 8
        machine = listed["machine"]
        assert machine["states"] == [state.name for state in State]
        assert len(machine["transitions"]) == sum(map(len, TRANSITIONS.values()))
        assert ["AWAITING_RESPONSE", "FAULT", "FAILED"] in machine["transitions"]
        assert listed["endpoint"] is None

    def test_pictures(self, tmp_path: Path, shipped: Served) -> None:
        reply = shipped.ask("api/image/query.jsonl")
        assert reply.headers["content-type"] == "image/jpeg"
        assert reply.body == HARBOUR.read_bytes()
        other = tmp_path / "other.gif"
        other.write_bytes(PIXEL.data)
        for images, listed in (([other], "other"), ([other, HARBOUR], "recorded"), ([], None)):
            with serving([SHIPPED / "query.jsonl"], images) as served:
                assert served.ask("api/recordings").json["recordings"][0]["image"] == listed
                reply = served.ask("api/image/query.jsonl")
                assert reply.status == (404 if listed is None else 200)
        digest = hashlib.sha256(PIXEL.data).hexdigest()
        assert digest not in str(shipped.ask("api/trace/query.jsonl").json)


class TestNames:
    @pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
    def test_a_name_is_a_key(self, tmp_path: Path) -> None:
        """Each file of the folder is found by its name, and nothing beside it."""
        content = (SHIPPED / "point.jsonl").read_bytes()
        (tmp_path / "secret.jsonl").write_bytes(content)
        folder = tmp_path / "folder"
        names = [
            "<script>alert(1)<",
            "..%2fsecret",
            "a\nb",
            "'\"`${x}",
            "a b?c#d&e",
            ".hidden",
            "é",
        ]
        (folder / "..x").mkdir(parents=True)
        for name in names:
            (folder / "..x" / f"{name}.jsonl").write_bytes(content)
        (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jsonl"))).write_bytes(content)
        with serving([folder]) as served:
            listed = [each["name"] for each in served.ask("api/recordings").json["recordings"]]
            assert sorted(listed) == sorted([f"..x/{name}.jsonl" for name in names] + ["�.jsonl"])
            for name in listed:
                reply = served.ask(f"api/trace/{named(name)}")
                assert (reply.status, reply.json["name"]) == (200, name)
            for path in (
                "../secret.jsonl",
                "%2e%2e%2fsecret.jsonl",
                str(tmp_path / "secret.jsonl"),
            ):
                for action in ("trace", "image", "takeaway"):
                    assert served.ask(f"api/{action}/{path}").status == 404
            reply = served.ask("api/trace/%3Cb%3E%ff")
            assert reply.json == {"error": {"message": "there is no recording '<b>�'"}}

    def test_several_sources(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for folder in ("a", "b"):
            Path(folder).mkdir()
            (Path(folder) / "one.jsonl").write_bytes((SHIPPED / "point.jsonl").read_bytes())
        Path("link.jsonl").symlink_to("a/one.jsonl")
        store = Store()
        store.read(["a", "b/one.jsonl", "a", "link.jsonl", "./b"])
        names = ["a/one.jsonl", "b/one.jsonl", "link.jsonl", "b/one-2.jsonl"]
        assert [entry.name for entry in store] == names

    def test_recordings_from_memory(self) -> None:
        store = Store()
        recording = Recording(RecordingHeader("POST", "/v1/query"), (), Ending(1, "ConnectError"))
        assert [store.add("query", recording).name for _ in range(3)] == [
            "query",
            "query-2",
            "query-3",
        ]


class TestWhatCannotBeRead:
    def test_it_is_listed_with_its_line(self, tmp_path: Path) -> None:
        whole = (SHIPPED / "query.jsonl").read_bytes()
        (tmp_path / "bad.jsonl").write_bytes(whole.replace(b'"t"', b'"?"', 1))
        (tmp_path / "cut.jsonl").write_bytes(whole[: whole.index(b"\n", 2000) + 1])
        (tmp_path / "empty.jsonl").write_bytes(b"")
        (tmp_path / "folder.jsonl").mkdir()
        (tmp_path / "good.jsonl").write_bytes(whole)
        (tmp_path / "link.jsonl").symlink_to("good.jsonl")
        with serving([tmp_path]) as served:
            entries = {
                each.pop("name"): each for each in served.ask("api/recordings").json["recordings"]
            }
            errors = {name: each["error"] for name, each in entries.items() if "error" in each}
            assert errors.keys() == entries.keys() - {"good.jsonl"}
            assert errors["bad.jsonl"]["line"] == 2
            assert errors["bad.jsonl"]["message"].startswith("a line should be [seconds")
            assert errors["empty.jsonl"] == {"line": 1, "message": "the recording is empty"}
            assert errors["cut.jsonl"]["message"] == "the recording stops without its ending"
            assert "regular file" in errors["folder.jsonl"]["message"]
            assert "a link" in errors["link.jsonl"]["message"]
            reply = served.ask("api/trace/bad.jsonl")
            assert (reply.status, reply.json["error"]) == (422, errors["bad.jsonl"])

    def test_the_body_of_an_error_answer(self) -> None:
        """Without it nobody knows whether the server gave a reason."""
        header = RecordingHeader("POST", "/v1/query", status_code=401)
        with serving([]) as served:
            for fault, words in (
                ("left", "the recording holds no body"),
                ("eof", "it gave no reason"),
            ):
                name = served.store.add(fault, Recording(header, (), Ending(1, fault))).name
                error = served.ask(f"api/trace/{name}").json["error"]
                assert (error["status_code"], error["message"]) == (401, f"({words})")

    def test_a_source_without_recordings(self, tmp_path: Path) -> None:
        for source, words in ((tmp_path, "has no recordings"), (tmp_path / "x", "is neither")):
            with pytest.raises(UsageError, match=words):
                Store().read([str(source)])
