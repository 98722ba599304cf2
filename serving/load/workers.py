"""Processes of clients, apart from the server and from each other's GIL."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import signal
import threading
import time

from serving.load import senders
from serving.load.payload import Payload

_START_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Client:
    """What one client sends, one request after the other.

    Attributes:
        url: where to.
        model: name of the model.
        payloads: sent in turn.
        requests: how many at most.
        seconds: no request is begun after this time, but the first.
        check: compare each reply with its answer.
    """

    url: str
    model: str
    payloads: tuple[Payload, ...]
    requests: int
    seconds: float
    check: bool = False


@dataclasses.dataclass
class Samples:
    """What clients saw.

    Attributes:
        times: start and end of each request, in seconds of one clock.
        faults: texts of the requests that failed or got a wrong answer.
    """

    times: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: "Samples") -> None:
        self.times += other.times
        self.faults += other.faults

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        starts, ends = zip(*self.times, strict=True)
        return max(ends) - min(starts)


class Workers:
    """Processes that make load, as many as there are cores.

    Usable as a context manager, which ends them.
    """

    def __init__(self):
        count = os.cpu_count() or 1
        # Not forked: gRPC and TensorFlow have threads.
        context = multiprocessing.get_context("spawn")
        self._count = count
        barriers = {n: context.Barrier(n) for n in range(1, count + 1)}
        self._pool = concurrent.futures.ProcessPoolExecutor(
            count, context, _prepare, (barriers,)
        )

    def run(self, clients: list[Client]) -> Samples:
        """Runs clients beside each other until all are done."""
        count = min(self._count, len(clients))
        shares = [clients[i::count] for i in range(count)]
        # The barrier keeps each process to one share.
        runs = [self._pool.submit(_run, share, count) for share in shares]
        samples = Samples()
        for run in runs:
            samples.add(run.result())
        return samples

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is not None:  # Ctrl-C: not to wait for what they still send
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)


def run_threads(count: int, work) -> Samples:
    """Runs `work(number, barrier, samples)` in threads and adds up.

    Args:
        count: number of threads.
        work: waits for the barrier before its first request.
    """
    barrier = threading.Barrier(count)
    every = [Samples() for _ in range(count)]
    threads = [
        threading.Thread(target=work, args=(number, barrier, samples))
        for number, samples in enumerate(every)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Samples()
    for samples in every:
        total.add(samples)
    return total


def _prepare(barriers: dict) -> None:
    """Runs once in each process."""
    # Ctrl-C is the parent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _barriers.update(barriers)


_barriers = {}


def _run(clients: list[Client], processes: int) -> Samples:
    for client in clients:
        for payload in client.payloads:
            payload.body  # noqa: B018 (reads the file)
    _barriers[processes].wait(_START_SECONDS)

    def work(number, barrier, samples):
        _send(clients[number], barrier, samples)

    return run_threads(len(clients), work)


def _send(client: Client, barrier, samples: Samples) -> None:
    sender = senders.connect(client.url, client.model)
    barrier.wait()
    end = time.perf_counter() + client.seconds
    for number in range(client.requests):
        payload = client.payloads[number % len(client.payloads)]
        start = time.perf_counter()
        if number and start > end:
            break
        fault = None
        try:
            reply = sender.send(payload.body)
        except senders.SendError as error:
            fault = f"{payload.kind}: {error}"
        samples.times.append((start, time.perf_counter()))
        if fault is None and client.check:
            fault = _fault(payload, reply)
        if fault is not None:
            samples.faults.append(fault)
    sender.close()


def _fault(payload: Payload, reply: bytes) -> str | None:
    try:
        return payload.fault(reply)
    except Exception as error:  # whatever the server sent
        return f"{payload.kind}: a reply that cannot be read: {error!r}"
