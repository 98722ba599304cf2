"""Who waits for a thread, and what is left of those who went away."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest

from serving.embedded.apis.places import Places
from serving.embedded.status import Code
from serving.embedded.status import StatusError


class _Body:
    """Stands for the bytes of a request."""


def test_requests_of_clients_that_left_are_not_kept():
    go_on, answered = threading.Event(), []

    async def main():
        places = Places(threads=1, queue=5, name="test")
        running = asyncio.create_task(places.answer(go_on.wait))
        await asyncio.sleep(0)
        kept = []
        for _ in range(20):
            body = _Body()
            kept.append(weakref.ref(body))
            call = asyncio.create_task(places.answer(answered.append, body))
            del body
            await asyncio.sleep(0)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
            del call
        gc.collect()
        alive = sum(body() is not None for body in kept)
        go_on.set()
        assert await running
        places.close()
        return alive

    # The error that ended the last one may hold it.
    assert asyncio.run(main()) <= 1
    assert not answered


def test_places_are_idle_when_no_thread_runs():
    go_on, begun = threading.Event(), threading.Event()

    def work():
        begun.set()
        go_on.wait()

    async def main():
        places = Places(threads=1, queue=5, name="test")
        seen = [places.is_idle]
        call = asyncio.create_task(places.answer(work))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        seen.append(places.is_idle)
        # Given up, it runs on.
        call.cancel()
        await asyncio.sleep(0.05)
        places.close()
        seen.append(places.is_idle)
        go_on.set()
        while not places.is_idle:
            await asyncio.sleep(0.01)
        return seen

    assert asyncio.run(main()) == [True, False, False]


def test_a_thread_is_free_when_it_is_done_and_not_when_its_client_left():
    go_on, begun = threading.Event(), []

    def work(number):
        begun.append(number)
        go_on.wait()
        return number

    async def main():
        places = Places(threads=2, queue=1, name="test")
        calls = [asyncio.create_task(places.answer(work, n)) for n in range(4)]
        while len(begun) < 2:
            await asyncio.sleep(0.001)
        # The fourth found all places taken.
        with pytest.raises(StatusError) as caught:
            await calls.pop()
        assert caught.value.code == Code.RESOURCE_EXHAUSTED
        calls[0].cancel()
        await asyncio.sleep(0.01)
        assert sorted(begun) == [0, 1]
        go_on.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [1, 2]
        places.close()

    asyncio.run(main())
