"""Metrics under TF Serving's names, in Prometheus' text format.

prometheus_client cannot write them: it ends every counter in `_total`, and
TF Serving's `:tensorflow:serving:request_count` has no such ending. The
format is the one of `util/prometheus_exporter.cc`.
"""

import bisect
import contextlib
import re
import threading
import time
from collections.abc import Iterator

from serving.embedded.status import Code
from serving.embedded.status import StatusError

# The name of a model in a request is the client's choice; without a limit a
# client of random names would fill the memory.
_MAX_SERIES = 1000


class _Metric:
    """A family of series, one for each combination of label values."""

    type = ""

    def __init__(self, name: str, labels: tuple[str, ...]):
        self.name = re.sub("[^a-zA-Z0-9_]", ":", name)
        self._label_names = labels
        self._lock = threading.Lock()
        self._series = {}

    def _labels(self, values: tuple[str, ...]) -> str:
        return ",".join(
            f'{name}="{_escape(value)}"'
            for name, value in zip(self._label_names, values, strict=True)
        )

    def _get(self, values: tuple[str, ...], make):
        found = self._series.get(values)
        if found is None and len(self._series) < _MAX_SERIES:
            found = self._series[values] = make()
        return found

    def lines(self) -> list[str]:
        """The family in text form, without its TYPE line."""
        with self._lock:
            return [
                line
                for values, state in self._series.items()
                for line in self._write(self._labels(values), state)
            ]

    def _write(self, labels: str, state: list) -> list[str]:
        raise NotImplementedError


class Counter(_Metric):
    """Counts events."""

    type = "counter"

    def increment(self, *labels: str) -> None:
        """Adds one to the series of these label values."""
        with self._lock:
            series = self._get(labels, lambda: [0])
            if series is not None:
                series[0] += 1

    def _write(self, labels: str, state: list) -> list[str]:
        return [f"{self.name}{{{labels}}} {state[0]}"]


class Histogram(_Metric):
    """Distribution of times in microseconds, in TF Serving's buckets.

    33 limits, 10 * 1.8^i: from 10 microseconds to some 20 minutes
    (`servables/tensorflow/util.cc`).
    """

    type = "histogram"
    limits = tuple(10 * 1.8**i for i in range(33))

    def observe(self, microseconds: float, *labels: str) -> None:
        """Adds one time to the series of these label values."""
        bucket = bisect.bisect_right(self.limits, microseconds)
        with self._lock:
            series = self._get(
                labels, lambda: [[0] * (len(self.limits) + 1), 0.0]
            )
            if series is not None:
                series[0][bucket] += 1
                series[1] += microseconds

    def _write(self, labels: str, state: list) -> list[str]:
        counts, total = state
        lines = []
        seen = 0
        bounds = [f"{limit:g}" for limit in self.limits] + ["+Inf"]
        for bound, count in zip(bounds, counts, strict=True):
            seen += count
            lines.append(f'{self.name}_bucket{{{labels},le="{bound}"}} {seen}')
        lines.append(f"{self.name}_sum{{{labels}}} {total:g}")
        lines.append(f"{self.name}_count{{{labels}}} {seen}")
        return lines


class Metrics:
    """The metrics of one server."""

    def __init__(self):
        self.request_count = Counter(
            "/tensorflow/serving/request_count", ("model_name", "status")
        )
        self.request_latency = Histogram(
            "/tensorflow/serving/request_latency",
            ("model_name", "API", "entrypoint"),
        )
        self.runtime_latency = Histogram(
            "/tensorflow/serving/runtime_latency",
            ("model_name", "API", "runtime"),
        )
        self.model_warmup_latency = Histogram(
            "/tensorflow/serving/model_warmup_latency",
            ("model_path", "status"),
        )

    @contextlib.contextmanager
    def request(self, model: str, api: str, entrypoint: str) -> Iterator[None]:
        """Counts a request by the status it ends with.

        Args:
            model: its model.
            api: under which its time is noted, if it ends well; "" notes none.
            entrypoint: GRPC or REST.
        """
        start = time.perf_counter()
        status = Code.INTERNAL
        try:
            yield
            status = Code.OK
        except StatusError as error:
            status = error.code
            raise
        finally:
            self.request_count.increment(model, status.name)
        if api:
            microseconds = (time.perf_counter() - start) * 1e6
            self.request_latency.observe(microseconds, model, api, entrypoint)

    def page(self) -> str:
        """The whole page, as `PrometheusExporter::GeneratePage` writes it."""
        lines = []
        for metric in vars(self).values():
            series = metric.lines()
            if series:
                lines.append(f"# TYPE {metric.name} {metric.type}")
                lines.extend(series)
        return "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    # A line feed would end the line: TF Serving leaves it as it is.
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
