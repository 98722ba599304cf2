"""How long files of a model take, and which part of the work takes it."""

import collections
import contextlib
import time

from yoto_tf.compression import symbol_files
from yoto_tf.compression.pixels import checked
from yoto_tf.compression.pixels import filled
from yoto_tf.compression.quality import step_for
from yoto_tf.compression.transforms import Transforms

PARTS = {
    "analysis": "picture to latents",
    "hyper": "latents to hyper-latents, and these to means and scales",
    "coder": "symbols to bytes and back, with their checksum",
    "synthesis": "latents to picture",
    "rest": "copies, sums and roundings between them",
}


def profile(model, pixels, quality=None, rounds=3):
    """Writes and reads one picture some times.

    The first round, in which graphs are made, does not count.

    Args:
        model: of the family `compression`.
        pixels: uint8 `(height, width, 3)` or `(height, width)`.
        quality: 0 to 100; None: the default.
        rounds: that count.

    Returns:
        dict: `"write"` and `"read"` -> dict: `"wall"` -> seconds by the clock;
        names of `PARTS` and their sum `"all"` -> seconds of a processor, over
        all cores, which other programs do not change much. Of the round
        that is the median by the clock.

    Raises:
        InputError: for other pixels or another quality.
    """
    rgb, channels = checked(pixels)
    step = step_for(quality, *model.lambda_ends)
    transforms, counts = _Timed(model), model.prior.counts()
    found = {"write": [], "read": []}
    mark = bytes(8)
    for _ in range(rounds + 1):
        with transforms.round() as seconds:
            parts = transforms.analyze(filled(rgb), step)
            with transforms.timed("coder"):
                data = symbol_files.write(
                    rgb, channels, step, mark, parts, counts
                )
        found["write"].append(dict(seconds))
        with transforms.round() as seconds:
            with transforms.timed("coder"):
                _, hyper_symbols, symbols = symbol_files.read(
                    data, mark, counts, transforms.indices
                )
            transforms.synthesize(hyper_symbols, symbols, step)
        found["read"].append(dict(seconds))
    return {
        name: sorted(times[1:], key=lambda t: t["wall"])[(rounds - 1) // 2]
        for name, times in found.items()
    }


def table(found, num_pixels):
    """Markdown of `profile`: megapixels per second by the clock, and
    milliseconds of a processor per megapixel of each part."""
    megapixels = num_pixels / 1e6
    lines = ["| | write | read |", "| --- | ---: | ---: |"]
    speeds = [f"{megapixels / found[n]['wall']:.2f}" for n in found]
    lines.append(f"| megapixels per second | {' | '.join(speeds)} |")
    for part in PARTS:
        cells = [
            f"{1000 * found[n].get(part, 0.0) / megapixels:.0f} "
            f"({found[n].get(part, 0.0) / found[n]['all']:.0%})"
            for n in found
        ]
        lines.append(f"| {part}, ms of a processor | {' | '.join(cells)} |")
    lines += ["", *(f"- {name}: {said}" for name, said in PARTS.items())]
    return "\n".join(lines)


class _Timed(Transforms):
    """Adds up the seconds of its parts; one within another counts once."""

    def __init__(self, model):
        super().__init__(model)
        self._seconds, self._within = None, []
        self._picture_of = self._of("synthesis", self._picture_of)
        self._latents_of = self._of("analysis", self._latents_of)
        self._hyper_symbols_of = self._of("hyper", self._hyper_symbols_of)
        self._scales = self._of("hyper", self._scales)

    @contextlib.contextmanager
    def round(self):
        self._seconds = seconds = collections.defaultdict(float)
        started = time.perf_counter()
        with self.timed("rest"):
            yield seconds
        seconds["all"] = sum(seconds.values())
        seconds["wall"] = time.perf_counter() - started

    @contextlib.contextmanager
    def timed(self, name):
        started = time.process_time()
        self._within.append(0.0)
        yield
        spent = time.process_time() - started
        self._seconds[name] += spent - self._within.pop()
        if self._within:
            self._within[-1] += spent

    def _of(self, name, function):
        def run(*args):
            with self.timed(name):
                return function(*args)

        return run
