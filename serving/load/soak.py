"""Many requests of all kinds: every answer checked, the memory watched."""

import itertools

import keras
import psutil

from serving.load.cells import Bench
from serving.load.cells import prepare
from serving.load.payload import BYTES
from serving.load.payload import FLOATS
from serving.load.payload import GRPC

# What the clients send; floats as JSON cost a server as much as ten others.
_MIX = (GRPC, BYTES, GRPC, FLOATS, GRPC, BYTES, GRPC, BYTES)
_BATCH_SIZES = (1, 2)
_PARTS = 40


def run(bench: Bench, requests: int, pid: int | None) -> dict:
    """Sends requests and compares each reply with the bare session.

    Args:
        bench: what is asked.
        requests: how many.
        pid: of the server, to read its memory; None if it is not known.

    Returns:
        dict: `requests`, `faults` (texts), `resident_mib`: the memory of the
        server after none, a quarter, half, three quarters and all of them.
    """
    server = psutil.Process(pid) if pid else None
    kinds = [kind for kind in _MIX if kind in bench.urls_by_kind()]
    made = prepare(bench, _BATCH_SIZES).values()
    # Each client sends one kind, so that all kinds are under way at once.
    sent = {kind: [p for m in made for p in m[kind]] for kind in set(kinds)}
    bar = keras.utils.Progbar(requests, unit_name="request")
    done, faults, resident = 0, [], []
    for part in range(1, _PARTS + 1):
        if server and (part - 1) % (_PARTS // 4) == 0:
            resident.append(_mebibytes(server))
        due = requests * part // _PARTS - done
        # The mix moves on, so that small parts too have all of it in turn.
        turn = itertools.islice(itertools.cycle(kinds), part, None)
        clients = [
            bench.client(
                kind,
                sent[kind],
                requests=share,
                seconds=float("inf"),
                check=True,
            )
            for share, kind in zip(_shares(due), turn, strict=False)
        ]
        samples = bench.workers.run(clients)
        done += len(samples.times)
        faults += samples.faults
        bar.update(done)
    if server:
        resident.append(_mebibytes(server))
    return {"requests": done, "faults": faults, "resident_mib": resident}


def _shares(requests: int) -> list[int]:
    """A number of requests over the clients; those with none are left out."""
    shares = [len(range(i, requests, len(_MIX))) for i in range(len(_MIX))]
    return [share for share in shares if share]


def _mebibytes(process: psutil.Process) -> float:
    return process.memory_info().rss / 2**20
