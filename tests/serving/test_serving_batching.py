"""Requests of several clients in one run: answers, errors, bounds, flags."""

import concurrent.futures
import contextlib
import threading
import time

import grpc
import numpy as np
import pytest
import serving_grpc_client
import serving_models
from serving_grpc_client import request_of
from waiting import eventually

from export import batching as export_batching
from serving import benchmark
from serving.embedded import flags
from serving.embedded import launch
from serving.embedded import model_config
from serving.embedded.run.batching import BatchingOptions
from serving.embedded.run.batching import BatchingVersion
from serving.embedded.run.engine import SavedModelVersion
from serving.embedded.status import Code
from serving.embedded.status import StatusError

FILE = export_batching.DEFAULT_FILE


class Engine:
    """Doubles `x`, and holds each run until it is let go."""

    signatures = {}

    def __init__(self, held=True):
        self.feeds = []
        self.closed = False
        self.go = threading.Event()
        if not held:
            self.go.set()

    def run(self, feed, fetch):
        self.feeds.append(feed)
        assert self.go.wait(60)
        if (feed["x"] < 0).any():
            raise StatusError(Code.INVALID_ARGUMENT, "x must be >= 0")
        return [2 * feed["x"] for _ in fetch]

    def close(self):
        self.closed = True


class Crowd:
    """Requests that come one after the other, each in its own thread."""

    def __init__(self, version):
        self._version = version
        self._pool = concurrent.futures.ThreadPoolExecutor(32)

    def send(self, *values, fetch=("y",)):
        """Sends one; returns its future once the version holds it."""
        x = np.float32(values)
        before = self._arrived()
        future = self._pool.submit(self._version.run, {"x": x}, list(fetch))
        eventually(lambda: future.done() or self._arrived() > before)
        return future

    def _arrived(self):
        version = self._version
        with version._lock:
            waiting = sum(
                len(b.feeds) for q in version._queues.values() for b in q
            )
        # A batch that was taken counts more than all that wait.
        return 1000 * len(version._version.feeds) + waiting

    def end(self):
        self._version._version.go.set()
        self._pool.shutdown()


@contextlib.contextmanager
def crowd(engine, **options):
    options = BatchingOptions(**{"num_batch_threads": 1, **options})
    found = Crowd(BatchingVersion(engine, options))
    try:
        yield found
    finally:
        found.end()


def answers(futures):
    return [future.result(10)[0].tolist() for future in futures]


def error_of(future):
    with pytest.raises(StatusError) as caught:
        future.result(10)
    return caught.value.code, caught.value.message


def test_what_waits_while_one_runs_is_one_batch():
    engine = Engine()
    with crowd(engine) as clients:
        sent = [clients.send(1)]
        sent += [clients.send(2, 3), clients.send(4), clients.send(5, 6, 7)]
        engine.go.set()
        assert answers(sent) == [[2], [4, 6], [8], [10, 12, 14]]
    assert [f["x"].tolist() for f in engine.feeds] == [[1], [2, 3, 4, 5, 6, 7]]


def test_one_alone_runs_in_its_own_thread_at_once():
    engine = Engine(held=False)
    version = BatchingVersion(engine, BatchingOptions())
    x = np.float32([1])
    before = threading.active_count()
    (found,) = version.run({"x": x}, ["y"])
    assert found.tolist() == [2]
    assert threading.active_count() == before
    assert engine.feeds[0]["x"] is x  # not even copied
    assert not version._queues


def test_a_batch_waits_for_company_until_it_is_full():
    engine = Engine(held=False)
    with crowd(
        engine, batch_timeout_micros=60_000_000, max_batch_size=4
    ) as clients:
        sent = [clients.send(1), clients.send(2, 3)]
        assert not engine.feeds
        sent.append(clients.send(4))
        assert answers(sent) == [[2], [4, 6], [8]]
        # One that no longer fits closes the batch before it.
        sent = [clients.send(1, 1, 1), clients.send(2, 2)]
        assert answers(sent[:1]) == [[2, 2, 2]]
        sent.append(clients.send(3, 3))
        assert answers(sent[1:]) == [[4, 4], [6, 6]]
    assert [len(f["x"]) for f in engine.feeds] == [4, 3, 4]


def test_a_batch_that_stays_alone_runs_when_its_time_is_over():
    engine = Engine(held=False)
    with crowd(engine, batch_timeout_micros=50_000) as clients:
        start = time.monotonic()
        assert answers([clients.send(1)]) == [[2]]
        assert time.monotonic() - start >= 0.05


def test_padding_repeats_the_first_row_of_the_last_request_and_goes_again():
    engine = Engine()
    sizes = (1, 4, 8)
    with crowd(engine, max_batch_size=8, allowed_batch_sizes=sizes) as clients:
        sent = [clients.send(1), clients.send(2, 3, 4), clients.send(5, 6)]
        engine.go.set()
        assert answers(sent) == [[2], [4, 6, 8], [10, 12]]
    padded = [f["x"].tolist() for f in engine.feeds]
    assert padded == [[1], [2, 3, 4, 5, 6, 5, 5, 5]]


def test_other_shapes_outputs_and_types_are_batches_of_their_own():
    engine = Engine()
    with crowd(engine) as clients:
        sent = [clients.send(0)]
        for _ in range(2):
            sent.append(clients.send(1))
            sent.append(clients.send([1, 2]))
            sent.append(clients.send(1, fetch=("y", "z")))
        engine.go.set()
        answers(sent)
    shapes = sorted(f["x"].shape for f in engine.feeds)
    assert shapes == [(1,), (2,), (2,), (2, 2)]


def test_the_error_of_a_row_is_that_of_its_batch_alone():
    engine = Engine()
    with crowd(engine) as clients:
        first = clients.send(1)
        others = [clients.send(2), clients.send(-1), clients.send(3)]
        engine.go.set()
        assert answers([first]) == [[2]]
        for future in others:
            assert error_of(future) == (3, "x must be >= 0")
        errors = {id(future.exception()) for future in others}
        assert len(errors) == 3
        assert answers([clients.send(4)]) == [[8]]


def test_a_fault_of_the_engine_leaves_nobody_waiting():
    engine = Engine()
    with crowd(engine) as clients:
        clients.send(1)
        engine_run, engine.run = engine.run, None  # not callable
        broken = [clients.send(2), clients.send(3)]
        engine.go.set()
        with pytest.raises(TypeError):
            broken[0].result(10)
        assert error_of(broken[1])[0] == Code.INTERNAL
        engine.run = engine_run
        assert answers([clients.send(4)]) == [[8]]


def test_a_full_queue_refuses():
    engine = Engine()
    with crowd(engine, max_batch_size=2, max_enqueued_batches=2) as clients:
        sent = [clients.send(n) for n in range(5)]
        refused = clients.send(9)
        words = (
            "The batch scheduling queue to which this task was submitted is "
            "full"
        )
        assert error_of(refused) == (Code.UNAVAILABLE, words)
        # Another kind of request has a queue of its own.
        sent.append(clients.send(5, fetch=("z",)))
        engine.go.set()
        assert answers(sent) == [[0], [2], [4], [6], [8], [10]]


@pytest.mark.parametrize(
    ("feed", "words"),
    [
        (
            {"x": np.zeros(64)},
            "Task size 64 is larger than maximum input batch size 32",
        ),
        (
            {"x": np.zeros(2), "beta": np.float32(1)},
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            {"x": np.zeros(2), "beta": np.zeros(3)},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_what_cannot_be_batched(feed, words):
    engine = Engine(held=False)
    version = BatchingVersion(engine, BatchingOptions(max_batch_size=32))
    with pytest.raises(StatusError) as caught:
        version.run(feed, ["y"])
    assert (caught.value.code, caught.value.message) == (3, words)
    assert not engine.feeds


def test_many_clients_get_what_each_gets_alone():
    random = np.random.default_rng(0)
    engine = Engine(held=False)
    options = BatchingOptions(
        max_batch_size=16,
        allowed_batch_sizes=(4, 16),
        num_batch_threads=2,
        max_enqueued_batches=1000,
    )
    version = BatchingVersion(engine, options)
    inputs = [random.random((n % 5 + 1, n % 2 + 1)) for n in range(400)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda x: version.run({"x": x}, ["y"]), inputs))
    for x, (y,) in zip(inputs, found, strict=True):
        np.testing.assert_array_equal(y, 2 * x)
    assert {len(f["x"]) for f in engine.feeds} <= {4, 16}
    assert not version._queues


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "1"
    serving_models.image(path)
    with contextlib.closing(SavedModelVersion(str(path))) as engine:
        yield engine


def test_outputs_without_the_rows_of_the_batch_are_refused(loaded):
    version = BatchingVersion(loaded, BatchingOptions())
    signature = loaded.signatures["total"]
    feed = {signature.inputs["x"].name: np.float32([1, 2])}
    with pytest.raises(StatusError, match="output tensor has 0 dimensions"):
        version.run(feed, [signature.outputs["total"].name])
    signature = loaded.signatures["nothing"]
    (found,) = version.run({}, [signature.outputs["one"].name])
    assert found.tolist() == [1]


def test_strings_and_empty_requests(loaded):
    options = BatchingOptions(max_batch_size=4, allowed_batch_sizes=(4,))
    version = BatchingVersion(loaded, options)
    signature = loaded.signatures["upper"]
    name, fetch = signature.inputs["text"].name, signature.outputs["upper"].name
    for texts in ([b"ab", b"\xff"], []):
        text = np.array(texts, object)
        (found,) = version.run({name: text}, [fetch])
        assert found.tolist() == [t.upper() for t in texts]


def test_a_server_with_batching(tmp_path):
    serving_models.image(tmp_path / "1")
    options = BatchingOptions(max_batch_size=8, batch_timeout_micros=20_000)
    requests = [serving_models.image_inputs(n % 3 + 1) for n in range(48)]
    with serving_models.running(tmp_path, batching=options) as server:
        client = serving_grpc_client.Client(server.grpc_port)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            replies = pool.map(
                lambda i: client.predict(request_of(i)), requests
            )
            for inputs, reply in zip(requests, replies, strict=True):
                expected = inputs["image"] * inputs["beta"][:, None, None, None]
                found = reply.outputs["rate"].float_val
                np.testing.assert_array_equal(found, expected.sum((1, 2, 3)))
        large = request_of(serving_models.image_inputs(9))
        assert serving_grpc_client.error_of(client.predict, large) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Task size 9 is larger than maximum input batch size 8",
        )
        client.channel.close()


def test_a_server_ends_while_requests_wait_for_their_batch(tmp_path):
    serving_models.image(tmp_path / "1")
    options = BatchingOptions(num_batch_threads=1)
    server = serving_models.make_server(
        tmp_path, batching=options, rest_api_port=None
    )
    server.start()
    client = serving_grpc_client.Client(server.grpc_port)
    slow = request_of({"seconds": np.float32([0.3])}, "slow")
    calls = [client.prediction.Predict.future(slow, timeout=60)]
    time.sleep(0.1)
    calls += [client.prediction.Predict.future(slow, timeout=60) for _ in "abc"]
    time.sleep(0.1)
    server.stop(10)
    for call in calls:
        assert call.result().outputs["turns"].tensor_shape.dim[0].size == 1
    client.channel.close()


def test_the_shipped_file_means_what_it_says():
    assert model_config.read_batching(str(FILE)) == BatchingOptions(
        max_batch_size=32,
        batch_timeout_micros=1_000,
        max_enqueued_batches=100,
        num_batch_threads=4,
        allowed_batch_sizes=(1, 2, 4, 8, 16, 32),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 3", "Invalid protobuf file"),
        ("enable_large_batch_splitting { value: true }", "no field named"),
        ("max_batch_size { value: 0 }", "max_batch_size must be 1 or more"),
        ("batch_timeout_micros { value: -1 }", "must be 0 or more; got -1"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be 1"),
        ("allowed_batch_sizes: 8", "last entry was 8; expected 1000"),
        (
            "max_batch_size { value: 2 } allowed_batch_sizes: 2 "
            "allowed_batch_sizes: 2",
            "monotonically increasing",
        ),
        ("pad_variable_length_inputs: true", "is not supported by this server"),
        (None, "No such file or directory"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, capsys, text, words):
    path = tmp_path / "batching.config"
    if text is not None:
        path.write_text(text)
    found = flags.parse(
        [
            f"--model_base_path={tmp_path}",
            "--enable_batching",
            f"--batching_parameters_file={path}",
        ]
    )
    assert launch.serve(found, threading.Event()) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert words in error
    assert error.count("\n") == 1


def test_a_file_needs_its_flag(capsys):
    arguments = ["--model_base_path=/m", f"--batching_parameters_file={FILE}"]
    for more in ([], ["--enable_batching=false"]):
        with pytest.raises(SystemExit) as caught:
            flags.parse(arguments + more)
        assert caught.value.code == 2
        assert "needs --enable_batching" in capsys.readouterr().err
    assert not flags.parse(arguments[:1]).enable_batching


def _options(arguments):
    return model_config.read(flags.parse(arguments))[1]


def test_flags_without_a_file_and_with_the_shipped_one():
    arguments = ["--model_base_path=/m", "--enable_batching"]
    found = _options(arguments).batching
    assert (found.max_batch_size, found.max_enqueued_batches) == (1000, 10)
    assert found.batch_timeout_micros == 0
    assert _options(arguments[:1]).batching is None
    shipped = benchmark.Arguments(batching_parameters_file=FILE, threads=7)
    options = _options(arguments[:1] + list(benchmark._flags(shipped)))
    assert options.batching == model_config.read_batching(str(FILE))
    assert (options.grpc_max_threads, options.rest_api_num_threads) == (7, 7)
