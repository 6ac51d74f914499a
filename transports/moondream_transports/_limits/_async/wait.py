"""The wait for a turn, in any thread or event loop."""

from __future__ import annotations

from moondream_transports._concurrency import AsyncFlag, async_call_soon, require_async_sleep
from moondream_transports._deadlines import earlier
from moondream_transports._limits._line import Line, Place


async def async_wait(line: Line, place: Place, timeout: float | None) -> bool:
    """Stand in line, and wait for the turn.

    Returns True when it has come, and False if the place was ended meanwhile. What interrupts the
    wait gives up the place.

    Raises:
        TimeoutError: the turn has not come in so many seconds. None is no limit.
    """
    if line.sleep is not None:
        require_async_sleep("the sleep of the limiter's clock", line.sleep)
    end = None if timeout is None else line.now() + timeout
    try:
        line.join(place)
        if place.state == "open":
            return True
        flag, call = AsyncFlag(), async_call_soon()
        place.wake = lambda: call(flag.set)
        while place.state == "waiting":
            moment = earlier(place.alarm, end)
            seconds = None if moment is None else max(moment - line.now(), 0.0)
            if line.sleep is None:
                await flag.wait(seconds)
            elif place.alarm is None or seconds is None:
                await flag.wait()  # nobody but the first in line moves the clock
            else:
                await line.sleep(seconds)
            flag.clear()
            line.look()
            if place.state == "waiting" and end is not None and line.now() >= end:
                raise TimeoutError("the turn has not come in time")
    except BaseException:
        line.give_up(place)
        line.end(place, unused=True)
        raise
    finally:
        place.wake = None
    return place.state == "open"
