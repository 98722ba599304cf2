"""Metrics under TF Serving's names, in Prometheus' text format.

prometheus_client cannot write them: it ends every counter in `_total`, and
TF Serving's `:tensorflow:serving:request_count` has no such ending. The
format is the one of `util/prometheus_exporter.cc`.
"""

import bisect
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from collections.abc import Sequence

from serving.embedded import status

# The name of a model in a request is the client's choice; without limits a
# client of random or long names would fill the memory.
_MAX_SERIES = 1000
_MAX_LABEL = 1024  # characters


# util/prometheus_exporter.cc, cc/monitoring: microseconds.
LIMITS = tuple(10 * 1.8**i for i in range(33))


class Metric:
    """Series of counts, one for each combination of label values.

    Args:
        name: the last part of TF Serving's.
        labels: their names, with blanks between.
        limits: upper ends of the buckets of a histogram; none for a counter.
    """

    def __init__(self, name: str, labels: str, limits: Sequence[float] = ()):
        self._name = f":tensorflow:serving:{name}"
        self._labels = labels.split()
        self._limits = limits
        self._lock = threading.Lock()
        self._series = {}  # values of the labels -> counts of buckets, sum

    def add(self, *labels: str, value: float = 0.0) -> None:
        """Counts an event in the series of these label values."""
        labels = tuple(label[:_MAX_LABEL] for label in labels)
        with self._lock:
            if labels not in self._series and len(self._series) >= _MAX_SERIES:
                return
            empty = [0] * (len(self._limits) + 1), [0.0]
            counts, total = self._series.setdefault(labels, empty)
            counts[bisect.bisect_right(self._limits, value)] += 1
            total[0] += value

    def lines(self) -> list[str]:
        """The metric in Prometheus' text form; nothing where nothing was."""
        kind = "histogram" if self._limits else "counter"
        with self._lock:
            lines = [f"# TYPE {self._name} {kind}"] if self._series else []
            for values, (counts, (total,)) in self._series.items():
                labels = ",".join(
                    f'{name}="{_escape(value)}"'
                    for name, value in zip(self._labels, values, strict=True)
                )
                if not self._limits:
                    lines.append(f"{self._name}{{{labels}}} {counts[0]}")
                    continue
                bounds = [f"{limit:g}" for limit in self._limits] + ["+Inf"]
                sums = itertools.accumulate(counts)
                lines += [
                    f'{self._name}_bucket{{{labels},le="{bound}"}} {seen}'
                    for bound, seen in zip(bounds, sums, strict=True)
                ]
                lines.append(f"{self._name}_sum{{{labels}}} {total:g}")
                lines.append(f"{self._name}_count{{{labels}}} {sum(counts)}")
        return lines


class Metrics:
    """The metrics of one server."""

    def __init__(self):
        self.request_count = Metric("request_count", "model_name status")
        self.request_latency = Metric(
            "request_latency", "model_name API entrypoint", LIMITS
        )
        self.runtime_latency = Metric(
            "runtime_latency", "model_name API runtime", LIMITS
        )
        self.model_warmup_latency = Metric(
            "model_warmup_latency", "model_path status", LIMITS
        )

    @contextlib.contextmanager
    def request(self, model: str, api: str, entrypoint: str) -> Iterator[None]:
        """Counts a request by the status it ends with.

        Its time is noted under `api` if it ends well, unless that is empty.
        """
        start = time.perf_counter()
        code = status.Code.INTERNAL
        try:
            yield
            code = status.Code.OK
        except status.StatusError as error:
            code = error.code
            raise
        finally:
            self.request_count.add(model, code.name)
        if api:
            seconds = time.perf_counter() - start
            self.request_latency.add(
                model, api, entrypoint, value=seconds * 1e6
            )

    def page(self) -> str:
        """The whole page, as `PrometheusExporter::GeneratePage` writes it."""
        metrics = vars(self).values()
        return "\n".join(line for m in metrics for line in m.lines()) + "\n"


def _escape(value: str) -> str:
    # A line feed would end the line: TF Serving leaves it as it is.
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
