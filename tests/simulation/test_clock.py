"""The virtual clock: time jumps, stands still for threads, and a deadlock is an error, not a hang."""

import asyncio
import threading

import pytest

from entropy.simulation.clock import DeadlockError, VirtualClockLoop, run_virtual


def test_time_jumps_to_the_next_timer() -> None:
    async def main() -> list[tuple[str, float]]:
        loop, story = asyncio.get_running_loop(), []

        async def one(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            story.append((name, loop.time()))

        await asyncio.gather(one("day", 86400.0), one("hour", 3600.0), one("at once", 0.0))
        return story

    assert run_virtual(main()) == [("at once", 0.0), ("hour", 3600.0), ("day", 86400.0)]


@pytest.mark.parametrize("start", [0.0, 1.7e9, 4e9])
def test_it_starts_where_it_is_told(start: float) -> None:
    """Epoch seconds are so large that floats are microseconds apart; the loop must not spin there."""

    async def main() -> float:
        for _ in range(100):
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), start) - start == pytest.approx(10.0, abs=1e-3)


def test_timeouts_are_virtual() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(500):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 500.0


def test_it_stands_still_while_a_thread_works() -> None:
    async def main() -> tuple[str, float]:
        gate, ticks = threading.Event(), []

        async def ticker() -> None:
            while True:
                await asyncio.sleep(1)
                ticks.append(1)

        task = asyncio.create_task(ticker())
        asyncio.get_running_loop().call_soon(gate.set)
        answer = await asyncio.to_thread(lambda: "worked" if gate.wait(10) else "late")
        task.cancel()
        assert ticks == []
        return answer, asyncio.get_running_loop().time()

    assert run_virtual(main()) == ("worked", 0.0)


def test_a_deadlock_names_what_waits() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.sleep(7)
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(DeadlockError, match=r"at 7 s of virtual time everything waits[\s\S]*the stuck one waits in "):
        run_virtual(main())


def test_tasks_left_behind_are_cancelled() -> None:
    ended = []

    async def left() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def main() -> None:
        asyncio.create_task(left())  # noqa: RUF006 - left behind on purpose
        await asyncio.sleep(1)

    run_virtual(main())
    assert ended == [1.0]


def test_an_error_comes_out_as_it_is() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run_virtual(main())


def test_the_order_of_events_is_the_same_every_time() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def one(k: int) -> None:
            for _ in range(3):
                await asyncio.sleep(k % 3)
                order.append(k)

        await asyncio.gather(*(one(k) for k in range(20)))
        return order

    assert run_virtual(main()) == run_virtual(main())


def test_it_is_a_loop_like_any_other() -> None:
    loop = VirtualClockLoop(5.0)
    try:
        assert loop.run_until_complete(asyncio.sleep(2, "value")) == "value"
        assert loop.time() == 7.0
    finally:
        loop.close()
