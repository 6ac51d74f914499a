"""The progress of a bulk run: its numbers, its words, and what a terminal shows."""

from __future__ import annotations

import io
import sys
import threading
from typing import Any

import pytest

from moondream_tools import _bulk_progress
from moondream_tools._bulk_live import Live
from moondream_tools._bulk_meter import Meter, Snapshot, clock
from moondream_tools._bulk_progress import Lines, Progress, make_display
from moondream_transports import LimiterStatus
from moondream_transports.bulk import Counts

HALF = Counts(
    total=100_000,
    skipped=1200,
    done=32_010,
    failed=41,
    in_flight=16,
    input_tokens=23_400_000,
    output_tokens=300_000,
    failures={"RateLimitError": 3, "ValueError": 9, "IncompleteStream": 29},
)


def limit(per_second: float | None = None, paused: float = 0.0, open: int = 0) -> LimiterStatus:
    return LimiterStatus(open, open // 2, per_second, paused, ())


class TestMeter:
    def test_the_rate_of_the_last_minute(self) -> None:
        meter = Meter()
        assert meter.snapshot(Counts(), limit(), False, 100.0).per_second is None
        assert meter.snapshot(Counts(done=5), limit(), False, 100.9).per_second is None
        assert meter.snapshot(Counts(done=5), limit(), False, 101.0).per_second == 5.0
        seen: Snapshot | None = None
        for second in range(2, 200):  # 10 a second in the first half, 2 in the second one
            done = min(second, 100) * 10 + max(second - 100, 0) * 2
            counts = Counts(done=done, failed=second, total=2000)
            seen = meter.snapshot(counts, limit(), False, 100.0 + second)
        assert seen is not None
        assert (seen.per_second, seen.total) == (3.0, 2000)
        assert seen.seconds_left == pytest.approx((2000 - 1198 - 199) / 3)

    @pytest.mark.parametrize(
        ("counts", "at_most", "total", "left"),
        [
            (Counts(total=None, done=10), None, None, None),
            (Counts(total=100, done=10), None, 100, 9.0),
            (Counts(total=100, skipped=40, done=10), None, 100, 5.0),
            (Counts(total=100, skipped=40, done=10), 30, 70, 2.0),
            (Counts(total=100, skipped=80, done=10), 30, 100, 1.0),
            (Counts(total=100, done=110), None, 100, 0.0),
        ],
    )
    def test_the_time_left(
        self, counts: Counts, at_most: int | None, total: int | None, left: float | None
    ) -> None:
        meter = Meter(at_most)
        meter.snapshot(Counts(), limit(), False, 0.0)
        seen = meter.snapshot(counts, limit(), False, (counts.done + counts.failed) / 10)
        assert (seen.total, seen.seconds_left) == (total, left)

    def test_words(self) -> None:
        meter = Meter()
        meter.snapshot(Counts(), limit(), False, 0.0)
        seen = meter.snapshot(HALF, limit(2.0, 34.2, 16), False, 16_000.0)
        assert seen.line == (
            "33,251 of 100,000 (33 %); 16 in flight, 8 waiting, 23,700,000 tokens, 1,200 done"
            " before; 41 failed: IncompleteStream 29, ValueError 9, RateLimitError 3; the"
            " server asked for a pause: 35 s left"
        )
        meter = Meter()
        meter.snapshot(Counts(done=1), limit(), False, 0.0)
        seen = meter.snapshot(Counts(done=1, total=0), limit(open=3), True, 1.0)
        assert seen.line == (
            "1 of 0; 0.0/s, 3 in flight, 1 waiting, 0 tokens; stopping when the requests in"
            " flight have ended; Ctrl+C stops at once"
        )

    @pytest.mark.parametrize(
        ("rate", "shown"), [(0.254, "0.25"), (2.0, "2"), (8.46, "8.5"), (1000.0, "1,000")]
    )
    def test_the_limit(self, rate: float, shown: str) -> None:
        seen = Meter().snapshot(Counts(), limit(rate), False, 0.0)
        assert seen.facts == f"at most {shown}/s, 0 in flight, 0 tokens"

    @pytest.mark.parametrize(
        ("seconds", "shown"),
        [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (184, "3:04"), (49_325, "13:42:05")],
    )
    def test_clock(self, seconds: float, shown: str) -> None:
        assert clock(seconds) == shown


def shown(columns: int, monkeypatch: pytest.MonkeyPatch, *, styles: bool = True) -> str:
    """What a terminal gets."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    display = Live(stream, styles)
    meter = Meter()
    meter.snapshot(Counts(), limit(), False, 0.0)
    display.show(meter.snapshot(HALF, limit(2.0, open=16), False, 16.0))
    text = stream.getvalue()
    display.close()
    cleared = "\x1b[?25h\r" + "\x1b[1A\x1b[2K" * len(text.splitlines())
    assert stream.getvalue().endswith(cleared)
    return text


class TestLive:
    @pytest.mark.parametrize("columns", [120, 80, 40])
    def test_fits_the_terminal(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = shown(columns, monkeypatch, styles=False).splitlines()
        assert max(map(len, lines)) <= columns + len("\x1b[?25l")
        words = " ".join(" ".join(lines).split())
        for word in ("33,251 of 100,000 (33 %)", "16 in flight", "ValueError 9", "33 s left"):
            assert word in words
        assert ("━" in words) is (columns > 40)

    def test_styles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "\x1b[36m━" in shown(80, monkeypatch)
        assert "m━" not in shown(80, monkeypatch, styles=False)


class Stream(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestDisplays:
    @pytest.mark.parametrize(
        ("stream", "term", "kind"),
        [(io.StringIO(), "xterm", Lines), (Stream(), "dumb", Lines), (Stream(), "xterm", Live)],
    )
    def test_of_each_stream(
        self, stream: Any, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", term)
        display = make_display()
        display.close()
        assert type(display) is kind

    def test_without_rich(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", stream := Stream())
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setitem(sys.modules, "moondream_tools._bulk_live", None)
        assert type(make_display()) is Lines
        assert "pip install 'sansio-moondream[bulk]'" in stream.getvalue()

    def test_lines(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moment = 0.0
        monkeypatch.setattr(_bulk_progress, "monotonic", lambda: moment)
        display, meter = Lines(), Meter()
        said: list[float] = []
        for moment in (1.0, 9.9, 10.0, 15.0, 20.0, 55.0, 64.0, 114.9, 115.0, 116.0, 117.0):
            display.show(meter.snapshot(HALF, limit(), moment >= 116, moment))
            if capsys.readouterr().err:
                said.append(moment)
        assert said == [10.0, 20.0, 55.0, 115.0, 116.0]


class Broken(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.tried = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.tried.set()
        raise BrokenPipeError("nobody reads")


class TestProgress:
    def test_is_shown_and_cleared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", stream := Stream())
        monkeypatch.setenv("TERM", "xterm")
        was_shown = threading.Event()

        def status() -> LimiterStatus:
            if "33,251" in stream.getvalue():
                was_shown.set()
            return limit()

        counts = Counts()
        with Progress(status, threading.Event()) as progress:
            progress.update(counts)
            for name in HALF.__struct_fields__:
                setattr(counts, name, getattr(HALF, name))
            assert was_shown.wait(30)
        assert stream.getvalue().endswith("\x1b[2K")

    def test_without_a_reader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", stream := Broken())
        monkeypatch.setenv("TERM", "xterm")
        with Progress(limit, threading.Event()) as progress:
            assert stream.tried.wait(30)
            progress.update(HALF)
        assert stream.getvalue() == ""
