"""The table: each way of asking, at each batch size and number of clients."""

import contextlib
import dataclasses
import math
import statistics
import time

import keras
import numpy as np

from serving.embedded.run.engine import SavedModelVersion
from serving.load import senders
from serving.load.payload import BYTES
from serving.load.payload import FLOATS
from serving.load.payload import GRPC
from serving.load.payload import Payload
from serving.load.request_maker import RequestMaker
from serving.load.workers import Client
from serving.load.workers import Samples
from serving.load.workers import Workers
from serving.load.workers import run_threads
from yoto_tf.errors import InputError

BARE = "bare session"
_SCHEMES = {GRPC: "grpc://", FLOATS: "http://", BYTES: "http://"}


@dataclasses.dataclass(frozen=True)
class Bench:
    """What is measured.

    Attributes:
        version: the model in a session of this process.
        maker: makes requests to it.
        workers: send them.
        urls: of the server.
        model: its name there.
    """

    version: SavedModelVersion
    maker: RequestMaker
    workers: Workers
    urls: tuple[str, ...]
    model: str

    def urls_by_kind(self) -> dict[str, str]:
        """The ways of asking that the URLs allow."""
        return {
            kind: url
            for kind, scheme in _SCHEMES.items()
            for url in self.urls
            if url.startswith(scheme)
        }

    def client(self, kind: str, payloads, **limits) -> Client:
        """A client of one way of asking."""
        url = self.urls_by_kind()[kind]
        return Client(url, self.model, tuple(payloads), **limits)


def prepare(
    bench: Bench, batch_sizes: tuple[int, ...]
) -> dict[int, dict[str, list[Payload]]]:
    """Makes the requests of all batch sizes and sends each once.

    Returns:
        batch size -> kind -> payloads.

    Raises:
        InputError: for a batch size that the model does not answer, or if the
            server does not answer as the bare session does.
    """
    made = {size: bench.maker.make(size) for size in batch_sizes}
    for payloads in made.values():
        require_right_answers(bench, payloads)
    return made


def measure(
    bench: Bench,
    made: dict[int, dict[str, list[Payload]]],
    clients: tuple[int, ...],
    requests: int,
    seconds: float,
    rounds: int,
) -> list[dict]:
    """Measures every figure.

    Args:
        bench: what is measured.
        made: the requests, of `prepare`.
        clients: numbers of clients that send at once.
        requests: per figure, at most.
        seconds: per figure, at most.
        rounds: what is compared runs in turn, so many times.

    Returns:
        list of dict, one per figure, see `_figures`.
    """
    cells = []
    kinds = list(bench.urls_by_kind())
    bar = keras.utils.Progbar(
        len(made) * len(clients) * rounds, unit_name="round"
    )
    for batch_size, payloads in made.items():
        for count in clients:
            samples = {kind: [] for kind in [BARE, *kinds]}
            per_client = math.ceil(requests / rounds / count)
            limits = {
                "requests": per_client,
                "seconds": seconds / rounds,
            }
            for _ in range(rounds):
                samples[BARE].append(_bare(bench, batch_size, count, **limits))
                for kind in kinds:
                    client = bench.client(kind, payloads[kind], **limits)
                    samples[kind].append(bench.workers.run([client] * count))
                bar.add(1)
            cells += [
                {
                    "what": kind,
                    "batch_size": batch_size,
                    "clients": count,
                    **figures(own, samples[BARE], batch_size),
                }
                for kind, own in samples.items()
            ]
    return cells


def figures(rounds: list[Samples], bare: list[Samples], batch_size: int):
    """Times and rates of one way of asking.

    Args:
        rounds: what its clients saw in each round.
        bare: what those of the bare session saw in the same rounds.
        batch_size: images per request.

    Returns:
        dict: `requests`, `seconds`, `p50_ms`, `p99_ms`, `requests_per_second`,
        `images_per_second`, `faults` (texts); `p50_of_bare` and
        `images_of_bare`, medians over the rounds of what this took and gave
        over what the bare session did.
    """
    times = np.concatenate([_milliseconds(s) for s in rounds])
    seconds = sum(s.seconds for s in rounds)
    return {
        "requests": len(times),
        "seconds": seconds,
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
        "requests_per_second": len(times) / seconds,
        "images_per_second": len(times) * batch_size / seconds,
        "p50_of_bare": statistics.median(
            float(np.median(_milliseconds(a)) / np.median(_milliseconds(b)))
            for a, b in zip(rounds, bare, strict=True)
        ),
        "images_of_bare": statistics.median(
            len(a.times) / a.seconds / (len(b.times) / b.seconds)
            for a, b in zip(rounds, bare, strict=True)
        ),
        "faults": [fault for s in rounds for fault in s.faults],
    }


def _milliseconds(samples: Samples) -> np.ndarray:
    return 1000 * np.diff(samples.times, axis=1)[:, 0]


def _bare(
    bench: Bench, batch_size: int, count: int, requests: int, seconds: float
) -> Samples:
    """The session of this process, called by threads."""
    feed, fetch = bench.maker.bare(bench.maker.inputs(batch_size))

    def work(_, barrier, samples):
        bench.version.run(feed, fetch)
        barrier.wait()
        end = time.perf_counter() + seconds
        for number in range(requests):
            start = time.perf_counter()
            if number and start > end:
                break
            bench.version.run(feed, fetch)
            samples.times.append((start, time.perf_counter()))

    return run_threads(count, work)


def require_right_answers(
    bench: Bench, payloads: dict[str, list[Payload]]
) -> None:
    """Sends each request once.

    Raises:
        InputError: if the server does not answer as the bare session does.
    """
    for kind in bench.urls_by_kind():
        _require(bench, kind, payloads[kind])


def _require(bench: Bench, kind: str, payloads: list[Payload]) -> None:
    url = bench.urls_by_kind()[kind]
    with contextlib.closing(senders.connect(url, bench.model)) as sender:
        for payload in payloads:
            try:
                fault = payload.fault(sender.send(payload.body))
            except senders.SendError as error:
                fault = f"{kind}: {error}"
            if fault:
                raise InputError(
                    "expected a server that answers as the newest version of "
                    f"the model does, received from {url}: {fault}"
                )
