"""The kits for tests: the strategies draw answers, and the conformance suite has certificates."""

from hypothesis import given, settings

from moondream_transports import UrllibTransport
from moondream_transports.conformance import Verdict, check_transport
from sansio_moondream.testing import strategies

drawn: list[object] = []


@settings(max_examples=20, database=None)
@given(strategies.events("segment"))
def draw(event: object) -> None:
    drawn.append(event)


draw()
assert len(drawn) > 1
report = check_transport(
    lambda ssl_context=None: UrllibTransport(ssl_context=ssl_context, proxies={}), only="4: *"
)
assert len(report) == len(report.of(Verdict.PASSED)) > 1, report
