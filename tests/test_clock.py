"""Virtual time: nothing moves while anything can happen, and then it is the first sleeper's turn."""

from __future__ import annotations

import asyncio
import time

import anyio
import anyio.lowlevel
from anyio import to_thread
from hypothesis import given
from hypothesis import strategies as st

from apr_agents.clock import MonotonicClock, VirtualClock


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_sleepers_wake_in_the_order_of_their_moments(naps: list[tuple[int, int]]) -> None:
    woken: list[tuple[float, int]] = []

    async def sleeper(clock: VirtualClock, index: int) -> None:
        for nap in naps[index]:
            await clock.sleep_until(clock.now() + nap)
            woken.append((clock.now(), index))

    async def everyone() -> None:
        clock = VirtualClock()
        async with anyio.create_task_group() as group:
            for index in range(len(naps)):
                group.start_soon(sleeper, clock, index)

    anyio.run(everyone)
    moments = [moment for moment, _ in woken]
    assert moments == sorted(moments)
    expected = sorted(moment for first, second in naps for moment in (first, first + second))
    assert moments == expected


async def test_time_stands_still_while_a_task_has_something_to_do() -> None:
    clock = VirtualClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep_until, 5.0)
        for _ in range(1000):
            await anyio.lowlevel.checkpoint()
            assert clock.now() == 0
        await clock.sleep_until(3.0)
        assert clock.now() == 3
    assert clock.now() == 5


async def test_time_stands_still_while_a_thread_is_at_work() -> None:
    clock = VirtualClock()
    passed: list[float] = []

    def work() -> None:
        time.sleep(0.02)
        passed.append(clock.now())

    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep_until, 600.0)
        await to_thread.run_sync(work)
    assert passed == [0.0]


async def test_a_cancelled_sleeper_hands_the_watch_on() -> None:
    clock = VirtualClock()
    woken: list[float] = []

    async def sleep(moment: float) -> None:
        await clock.sleep_until(moment)
        woken.append(clock.now())

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(sleep, 2.0)
            group.start_soon(sleep, 1.0)
            async with anyio.create_task_group() as inner:
                inner.start_soon(sleep, 0.5)
                inner.start_soon(_cancel_when_quiet, clock, scope)
        assert scope.cancelled_caught
    assert woken == [0.25 + 0.75, 2.0]


async def _cancel_when_quiet(clock: VirtualClock, scope: anyio.CancelScope) -> None:
    await clock.sleep_until(0.25)
    scope.cancel()


async def test_a_moment_that_is_past_gives_others_their_turn() -> None:
    clock = VirtualClock()
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await clock.sleep_until(0.0)
        turns.append("sleeper")
    assert turns == ["other", "sleeper"]
    assert clock.now() == 0


def test_a_foreign_event_loop_is_refused() -> None:
    class Foreign(asyncio.SelectorEventLoop):
        def __getattribute__(self, name: str) -> object:
            if name == "_ready" and self.hidden:
                raise AttributeError(name)
            return super().__getattribute__(name)

        hidden = False

    async def sleep() -> str:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Foreign)
        loop.hidden = True
        try:
            await VirtualClock().sleep_until(1.0)
        except ValueError as error:
            return str(error)
        finally:
            loop.hidden = False
        return ""

    with asyncio.Runner(loop_factory=Foreign) as runner:
        assert "asyncio's own event loop" in runner.run(sleep())


async def test_the_monotonic_clock_sleeps_and_never_goes_back() -> None:
    clock = MonotonicClock()
    before = clock.now()
    await clock.sleep_until(before + 0.01)
    await clock.sleep_until(before)
    assert clock.now() >= before + 0.01
