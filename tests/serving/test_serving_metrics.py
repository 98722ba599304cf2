"""Prometheus text under TF Serving's names."""

from serving.embedded.apis.metrics import LIMITS
from serving.embedded.apis.metrics import Metrics


def test_the_page():
    metrics = Metrics()
    metrics.request_count.add("m", "OK")
    metrics.request_count.add("m", "OK")
    metrics.request_count.add('a"\\\n', "NOT_FOUND")
    metrics.request_latency.add("m", "Predict", "GRPC", value=10)
    metrics.request_latency.add("m", "Predict", "GRPC", value=9.5)
    metrics.request_latency.add("m", "Predict", "GRPC", value=1e12)
    lines = metrics.page().splitlines()
    assert lines[:3] == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="m",status="OK"} 2',
        ':tensorflow:serving:request_count{model_name="a\\"\\\\\\n",'
        'status="NOT_FOUND"} 1',
    ]
    name = ":tensorflow:serving:request_latency"
    labels = 'model_name="m",API="Predict",entrypoint="GRPC"'
    assert f"# TYPE {name} histogram" in lines
    assert f'{name}_bucket{{{labels},le="10"}} 1' in lines
    assert f'{name}_bucket{{{labels},le="18"}} 2' in lines
    assert f'{name}_bucket{{{labels},le="188.957"}} 2' in lines
    assert f'{name}_bucket{{{labels},le="+Inf"}} 3' in lines
    assert f"{name}_count{{{labels}}} 3" in lines
    assert f"{name}_sum{{{labels}}} 1e+12" in lines
    # What never happened has no lines.
    assert "runtime_latency" not in metrics.page()
    assert metrics.page().endswith("\n")


def test_the_buckets_are_tf_servings():
    assert len(LIMITS) == 33
    assert LIMITS[:2] == (10, 18)


def test_the_number_of_series_is_bounded():
    metrics = Metrics()
    for number in range(5000):
        metrics.request_count.add(f"model{number}", "NOT_FOUND")
    assert len(metrics.page().splitlines()) == 1001


def test_the_length_of_a_label_is_bounded():
    metrics = Metrics()
    for end in "ab":
        metrics.request_count.add("m" * 2**20 + end, "NOT_FOUND")
    (_, line) = metrics.page().splitlines()
    assert line == (
        ':tensorflow:serving:request_count{model_name="'
        + "m" * 1024
        + '",status="NOT_FOUND"} 2'
    )
