"""The transports of docs/how-to/write-a-transport.md pass the conformance suite, as it runs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import conformance

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-transport.md"
CODE = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


LIBRARIES = {
    "requests": conformance.CASES,
    "curl": conformance.CASES,
    "httpcore": conformance.ASYNC_CASES,
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_passes_and_declares_no_more_than_it_has_to(library: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("requests", "pycurl", "httpcore2"):
        pytest.importorskip(name)
    reports: list[conformance.Report] = []

    def check_transport(*args: Any, **kwargs: Any) -> conformance.Report:
        reports.append(check(*args, **kwargs))
        return reports[-1]

    async def check_async_transport(*args: Any, **kwargs: Any) -> conformance.Report:
        reports.append(await check_async(*args, **kwargs))
        return reports[-1]

    check, check_async = conformance.check_transport, conformance.check_async_transport
    monkeypatch.setattr(conformance, "check_transport", check_transport)
    monkeypatch.setattr(conformance, "check_async_transport", check_async_transport)
    page: dict[str, Any] = {}
    exec(CODE, page)
    page[f"test_on_{library}"]()
    *small, full = reports
    assert [len(report.of(conformance.Verdict.PASSED)) for report in small] == [3, 1]
    assert len(full) == len(LIBRARIES[library])
    if library != "curl":
        reason = full["33: server answers 50 requests"].reason
        assert re.fullmatch(r"50 exchanges on [1-9] connections?", reason or "")
    declared = page[f"{library.upper()}_KNOWN_FAILURES"]
    known = full.of(conformance.Verdict.KNOWN_FAILURE)
    assert {case.id: case.reason for case in known} == declared
    unchecked = [case.id for case in full.of(conformance.Verdict.NOT_CHECKED)]
    proxies = [case.id for case in LIBRARIES[library] if case.id.startswith("proxy: ")]
    assert unchecked == (proxies if library == "httpcore" else [])  # its factory takes none
    passed = full.of(conformance.Verdict.PASSED)
    assert len(passed) == len(full) - len(declared) - len(unchecked)
