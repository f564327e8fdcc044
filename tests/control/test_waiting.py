"""Waiting that a stop interrupts; a solver that is still at work keeps nobody."""

from __future__ import annotations

import asyncio
import threading

import pytest

from entropy.control.waiting import Interrupted, any_of, in_thread, inline, unless


def test_thinking_gives_its_result_or_its_error_wherever_it_runs() -> None:
    def fails() -> int:
        raise ZeroDivisionError

    async def main() -> None:
        for think in (inline, in_thread):
            assert await think(lambda: 42) == 42
            with pytest.raises(ZeroDivisionError):
                await think(fails)

    asyncio.run(main())


def test_a_stop_does_not_wait_for_a_solver() -> None:
    release, ended = threading.Event(), threading.Event()

    def solver() -> None:
        release.wait()
        ended.set()

    async def main() -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, stopping.set)
        with pytest.raises(Interrupted):
            await unless(stopping, in_thread(solver))
        assert not ended.is_set()

    asyncio.run(main())  # the loop has closed before the solver ends: its late answer disturbs nobody
    release.set()
    assert ended.wait(60)


def test_what_is_done_when_the_stop_comes_counts() -> None:
    async def main() -> None:
        stopping = asyncio.Event()
        stopping.set()

        async def now() -> int:
            return 1

        task = asyncio.ensure_future(now())
        await task
        assert await unless(asyncio.Event(), now()) == 1
        with pytest.raises(Interrupted):
            await unless(stopping, asyncio.sleep(3600))

    asyncio.run(main())


def test_waiting_ends_with_the_first_event() -> None:
    async def main() -> None:
        one, two = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_soon(two.set)
        await any_of((one, two), 3600)
        await any_of((one,), 0)

    asyncio.run(main())
