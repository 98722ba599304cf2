"""One loaded version: the C++ session's answers, errors and load faults."""

import contextlib
import os
import shutil
import threading
import time

import numpy as np
import pytest
import serving_models
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.embedded.run import predict
from serving.embedded.run import warmup
from serving.embedded.run.engine import SavedModelVersion
from serving.embedded.status import Code
from serving.embedded.status import StatusError

MAX = 2**20
INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "1"
    serving_models.image(path)
    loaded = SavedModelVersion(str(path))
    yield loaded
    loaded.close()


def run(version, name, output_filter=(), **inputs):
    signature = predict.find_signature(version, name)
    return predict.run(version, signature, inputs, output_filter)


def error_of(*arguments, **inputs):
    with pytest.raises(StatusError) as caught:
        run(*arguments, **inputs)
    return caught.value


def test_values(version):
    inputs = serving_models.image_inputs(2)
    found = run(version, "", **inputs)
    expected = inputs["image"] * inputs["beta"].reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(found["reconstruction"], expected)
    np.testing.assert_array_equal(found["rate"], expected.sum((1, 2, 3)))
    assert found["rate"].dtype == np.float32


class Compiled(tf.Module):
    @tf.function(jit_compile=True)
    def inner(self, x):
        return x * 3

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": self.inner(x)}


def test_what_xla_has_to_compile_needs_the_flag(tmp_path):
    module = Compiled()
    tf.saved_model.save(module, str(tmp_path), module.__call__)
    with pytest.raises(StatusError, match="--xla_cpu_compilation_enabled"):
        SavedModelVersion(str(tmp_path))
    with contextlib.closing(SavedModelVersion(str(tmp_path), True)) as version:
        found = run(version, "", x=np.float32([1, 2]))
        np.testing.assert_array_equal(found["y"], [3, 6])


def test_an_empty_batch(version):
    found = run(version, "", **serving_models.image_inputs(0))
    assert found["reconstruction"].shape == (0, 2, 2, 1)


def test_scalars_and_strings(version):
    text = np.empty(2, object)
    text[:] = [b"ab", b"\xff"]
    found = run(version, "upper", text=text)
    assert found["upper"].tolist() == [b"AB", b"\xff"]
    total = run(version, "total", x=np.float32([1, 2]))["total"]
    assert (total.shape, total.dtype, total[()]) == ((), np.float32, 3)


def test_signatures_without_inputs_run(version):
    assert run(version, "nothing")["one"].tolist() == [1]


def test_the_graph_refuses_in_its_own_words(version):
    inputs = serving_models.image_inputs(1)
    error = error_of(version, "", **{**inputs, "beta": np.float32([-1])})
    assert error.code == Code.INVALID_ARGUMENT
    assert error.message.startswith("assertion failed: [beta must be >= 0")
    error = error_of(version, "", **{**inputs, "beta": np.float32([1, 2])})
    assert "one beta for each row" in error.message
    error = error_of(version, "", **{**inputs, "image": np.zeros(4, "f")})
    assert error.code == Code.INVALID_ARGUMENT
    assert error.message.startswith(
        "Shape of tensor _arg_serving_default_image_0_1 [4] is not compatible "
        "with expected shape [?,2,2,1]."
    )


def test_an_error_that_quotes_bytes_is_still_an_error_of_the_request(version):
    """TensorFlow's Python fails to decode such a text."""
    text = np.empty(1, object)
    text[0] = b"\x89PNG"
    error = error_of(version, "tail", text=text)
    assert error.code == Code.INVALID_ARGUMENT
    assert "pos 5 out of range for string b'\ufffdPNG'" in error.message


def test_a_wrong_dtype_is_refused_in_the_words_of_session_run(version):
    inputs = serving_models.image_inputs(1)
    error = error_of(version, "", **{**inputs, "beta": np.ones(1)})
    assert error.code == Code.INVALID_ARGUMENT
    assert error.message == (
        "Expects arg[0] to be float but double is provided"
    )


def test_output_filters(version):
    inputs = serving_models.image_inputs(1)
    assert list(run(version, "", ["rate"], **inputs)) == ["rate"]
    error = error_of(version, "", ["none"], **inputs)
    assert error.message == (
        "output tensor alias not found in signature: none Outputs expected to "
        "be in the set {rate,reconstruction}."
    )
    error = error_of(version, "", ["rate", "rate"], **inputs)
    assert error.message == "duplicate output tensor alias: rate"


def test_many_threads_get_their_own_answers(version):
    faults = []

    def ask(number):
        inputs = serving_models.image_inputs(1)
        inputs["beta"][:] = number
        for _ in range(50):
            rate = run(version, "", ["rate"], **inputs)["rate"]
            if rate.tolist() != [6 * number]:
                faults.append(rate)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_ever_new_filters_do_not_fill_the_memory(version):
    signature = predict.find_signature(version, "echo")
    names = sorted(signature.outputs)
    inputs = {
        "small": np.int8([1]),
        "large": np.uint64([1]),
        "flag": np.array([True]),
        "long": np.int64([1]),
        "double": np.float64([1]),
    }
    for mask in range(1, 2 ** len(names)):
        wanted = [n for bit, n in enumerate(names) if mask >> bit & 1]
        found = run(version, "echo", wanted[::-1], **inputs)
        assert sorted(found) == wanted
    assert version._callable.cache_info().currsize <= 32


def _spoil(path, how):
    if how == "truncated pb":
        os.truncate(path / "saved_model.pb", 500)
    elif how == "truncated data":
        os.truncate(path / DATA, 1)
    elif how == "empty":
        shutil.rmtree(path)
        path.mkdir()
    elif how == "a file":
        shutil.rmtree(path)
        path.write_text("")
    else:
        os.remove(path / how)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("empty", Code.NOT_FOUND),
        ("a file", Code.NOT_FOUND),
        ("saved_model.pb", Code.NOT_FOUND),
        ("truncated pb", Code.DATA_LOSS),
        (INDEX, Code.NOT_FOUND),
        (DATA, Code.NOT_FOUND),
        ("truncated data", Code.OUT_OF_RANGE),
    ],
)
def test_half_copied_versions_do_not_load(tmp_path, how, code):
    path = tmp_path / "1"
    serving_models.half_plus(2, path)
    _spoil(path, how)
    with pytest.raises(StatusError) as caught:
        SavedModelVersion(str(path))
    assert caught.value.code == code


def test_a_missing_model_is_told_as_tf_serving_tells_it(tmp_path):
    with pytest.raises(StatusError) as caught:
        SavedModelVersion(str(tmp_path))
    assert caught.value.message == (
        "Could not find SavedModel .pb or .pbtxt at supplied export directory "
        f"path: {tmp_path}"
    )


def _record(path, *logs):
    (path / "assets.extra").mkdir(exist_ok=True)
    file = str(path / warmup.FILE)
    with tf.io.TFRecordWriter(file) as writer:
        for log in logs:
            writer.write(log)


def _log(x):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "any name"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
    return log.SerializeToString()


@pytest.mark.parametrize(
    "name",
    [
        "saved_model.pb",
        "saved_model.pbtxt",
        "variables/variables.index",
        "assets.extra/tf_serving_warmup_requests",
    ],
)
def test_a_pipe_is_not_waited_for(tmp_path, name):
    path = tmp_path / "1"
    serving_models.half_plus(2, path)
    (path / name).unlink(missing_ok=True)
    (path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(path / name)
    with pytest.raises(StatusError) as caught:
        SavedModelVersion(str(path))
    assert caught.value.code == Code.FAILED_PRECONDITION
    assert caught.value.message == f"{path / name}: not a regular file"


@pytest.mark.parametrize("name", ["variables", "assets", "assets.extra"])
def test_a_pipe_in_a_linked_folder_is_not_waited_for(tmp_path, name):
    path, elsewhere = tmp_path / "1", tmp_path / "elsewhere"
    serving_models.half_plus(2, path)
    (path / name).mkdir(exist_ok=True)
    (path / name).rename(elsewhere)
    (path / name).symlink_to(elsewhere)
    SavedModelVersion(str(path)).close()  # a link alone does no harm
    os.mkfifo(elsewhere / "pipe")
    with pytest.raises(StatusError, match="pipe: not a regular file"):
        SavedModelVersion(str(path))


def test_links_that_lead_back_are_no_endless_walk(tmp_path):
    path = tmp_path / "1"
    serving_models.half_plus(2, path)
    (path / "assets").mkdir(exist_ok=True)
    for name in ("a", "assets/b", "assets/c"):
        (path / name).symlink_to(tmp_path)
    SavedModelVersion(str(path)).close()


def test_warmup(tmp_path):
    path = tmp_path / "1"
    serving_models.half_plus(2, path)
    version = SavedModelVersion(str(path))
    assert warmup.run(version, str(path), MAX) == 0
    _record(path, _log(np.float32([1])), _log(np.float32([1, 2])))
    assert warmup.run(version, str(path), MAX) == 2
    _record(path, _log(np.float64([1])))
    with pytest.raises(StatusError, match="to be float but double"):
        warmup.run(version, str(path), MAX)
    _record(path, b"\xff")
    with pytest.raises(StatusError, match="Failed to parse warmup record"):
        warmup.run(version, str(path), MAX)
    _record(path, prediction_log_pb2.PredictionLog().SerializeToString())
    with pytest.raises(StatusError, match="UNIMPLEMENTED"):
        warmup.run(version, str(path), MAX)
    _record(path, *[_log(np.float32([1]))] * 1001)
    with pytest.raises(StatusError, match="exceeds the maximum"):
        warmup.run(version, str(path), MAX)
    (path / warmup.FILE).write_bytes(b"no TFRecord file, whatever it is")
    with pytest.raises(StatusError, match="DATA_LOSS"):
        warmup.run(version, str(path), MAX)
    version.close()


def test_very_many_inputs_are_refused_by_their_number():
    signature = meta_graph_pb2.SignatureDef()
    signature.inputs["x"].name = "x:0"
    sent = dict.fromkeys(map(str, range(10**5)))
    start = time.thread_time()
    with pytest.raises(StatusError, match="100000!=1") as caught:
        predict.check_count(signature, sent)
    assert time.thread_time() - start < 0.05
    assert len(caught.value.message) < 20_000
