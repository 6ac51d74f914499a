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


@pytest.mark.usefixtures("patient_drain")
@pytest.mark.parametrize("test", ["test_on_requests", "test_on_curl"])
def test_passes_and_declares_no_more_than_it_has_to(test: str, monkeypatch: pytest.MonkeyPatch):
    for library in ("requests", "pycurl"):
        pytest.importorskip(library)
    reports: list[conformance.Report] = []

    def check_transport(*args: Any, **kwargs: Any) -> conformance.Report:
        reports.append(check(*args, **kwargs))
        return reports[-1]

    check = conformance.check_transport
    monkeypatch.setattr(conformance, "check_transport", check_transport)
    page: dict[str, Any] = {}
    exec(CODE, page)
    page[test]()
    (small, full) = reports
    assert len(small.of(conformance.Verdict.PASSED)) == len(small) == 3
    assert len(full) == len(conformance.CASES)
    if "requests" in test:
        assert full["33: server answers 50 requests"].reason == "50 exchanges on 1 connection"
    declared = page["REQUESTS_KNOWN_FAILURES" if "requests" in test else "CURL_KNOWN_FAILURES"]
    assert {case.id: case.reason for case in full.of(conformance.Verdict.KNOWN_FAILURE)} == declared
    assert len(full.of(conformance.Verdict.PASSED)) == len(full) - len(declared)
