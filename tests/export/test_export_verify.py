"""The check between an export and its publication."""

import dataclasses
import shutil

import export_runs
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export import saved_model
from export import verify
from export import warmup
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.families.vae.endpoints import vae_endpoints
from yoto_tf.families.vae.signatures import Signatures

OUTPUTS = {
    "serving_default": {
        "reconstruction",
        "rate",
        "distortion",
        "in_range",
    },
    "reconstruct": {"reconstruction", "rate", "distortion", "in_range"},
    "encode": {"mean", "stddev"},
    "decode": {"image"},
    "sample": {"image"},
    "reconstruct_bytes": {"image_bytes", "rate"},
    "curve": {"reconstruction", "rate", "distortion"},
    "loss_parameters": {
        *("name", "trained", "scale", "description"),
        *("low", "high", "default", "ranges"),
    },
}


@pytest.fixture(scope="module")
def exported():
    return export_runs.exported("bernoulli", "error")


def test_every_output_is_compared(exported):
    compared = {(d.signature, d.output) for d in exported.differences}
    assert compared == {(s, o) for s, names in OUTPUTS.items() for o in names}
    for d in exported.differences:
        limit = 0.51 / 255 if d.output == "image_bytes" else 1e-5
        assert d.largest <= limit * (1 + abs(d.of))


def test_another_model_is_found_out(exported):
    other = export_runs.model()
    bias = other.decoder.trainable_variables[-1]
    bias.assign_add(np.full(bias.shape, 2e-3, "float32"))
    with pytest.raises(VerificationError, match="differs by up to"):
        verify.verify(exported.path, vae_endpoints(other))


def test_a_model_that_diverged_is_refused(tmp_path):
    model = export_runs.model()
    weight = model.decoder.trainable_variables[0]
    weight.assign(np.full(weight.shape, np.nan, "float32"))
    run = export_runs.write_run(tmp_path / "run", made=model)
    with pytest.raises(InputError, match="finite weights.*diverged"):
        saved_model.export(run, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_variables_that_a_session_cannot_find_are_found_out(tmp_path):
    """The fault of `tf.saved_model.save` with Keras 3, which shows in no
    check by `tf.saved_model.load`."""
    model = export_runs.model()
    module = tf.Module()
    module.model = model
    endpoint = vae_endpoints(model)[0]
    module.reconstruct = tf.function(
        endpoint.served, input_signature=endpoint.inputs, autograph=False
    )
    signatures = {
        name: module.reconstruct for name in ("reconstruct", "serving_default")
    }
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    with pytest.raises(VerificationError, match="(?s)does not run.*variable"):
        verify.verify(tmp_path, [endpoint])


@pytest.mark.parametrize(
    "file",
    [
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_half_a_saved_model_is_found_out(exported, tmp_path, file, gone):
    copy = tmp_path / "copy"
    shutil.copytree(exported.path, copy)
    if gone:
        (copy / file).unlink()
    else:
        (copy / file).write_bytes((copy / file).read_bytes()[:50])
    with pytest.raises(VerificationError):
        verify.verify(copy, vae_endpoints(exported.model))


@pytest.mark.slow
def test_a_warmup_record_that_fails_is_found_out(exported, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(exported.path, copy)
    endpoints = vae_endpoints(exported.model)

    def untrained(rows, seed):
        return {**endpoints[0].example(rows, seed), "beta": np.full(rows, 1e3)}

    records = [dataclasses.replace(endpoints[0], example=untrained)]
    warmup.write(copy, records, [1])
    with pytest.raises(VerificationError, match="expected beta"):
        verify.verify(copy, endpoints)


def records(path):
    for record in tf.data.TFRecordDataset(
        str(path / warmup.FILE)
    ).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        yield log.predict_log.request


def test_more_warmup_than_a_server_takes_is_refused(exported, tmp_path):
    sizes = list(range(1, 1001))
    with pytest.raises(InputError, match="1000 warm-up requests at most"):
        warmup.write(tmp_path, vae_endpoints(exported.model), sizes)
    assert not list(tmp_path.iterdir())


def test_warmup_has_every_signature_at_every_batch_size(exported):
    seen = set()
    for request in records(exported.path):
        shapes = {
            tuple(d.size for d in proto.tensor_shape.dim)
            for proto in request.inputs.values()
        }
        assert len({shape[0] for shape in shapes}) == 1
        seen.add((request.model_spec.signature_name, next(iter(shapes))[0]))
    assert seen == {(s, n) for s in OUTPUTS for n in (1, 2, 4, 8, 16, 32)}
    assert (exported.path / warmup.FILE).stat().st_size < 20_000


class _Stop(Exception):
    pass


@pytest.mark.parametrize(
    "step",
    [
        "export.warmup.write",
        "export.verify.verify",
        "export.manifest.write",
        "export.publish.publish",
        "export.publish.os.rename",
    ],
)
def test_an_export_that_fails_publishes_nothing(
    exported, tmp_path, step, monkeypatch
):
    base = tmp_path / "m"
    (base / "1").mkdir(parents=True)
    # One small signature; the others would only take time.
    endpoints = vae_endpoints(exported.model)[-1:]
    monkeypatch.setattr(
        "yoto_tf.families.vae.endpoints.vae_endpoints", lambda *_: endpoints
    )
    monkeypatch.setattr(verify, "verify", lambda *_: [])
    monkeypatch.setattr(verify, "check_view", lambda *_: None)
    monkeypatch.setattr(
        type(exported.run), "load_model", lambda self: exported.model
    )

    def stop(*arguments, **named):
        raise _Stop

    monkeypatch.setattr(step, stop)
    with pytest.raises(_Stop):
        saved_model.export(exported.run, base)
    assert [p.name for p in base.iterdir()] == ["1"]
    assert list((base / "1").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("max_batch_size { value: 4 }", "rising allowed_batch_sizes"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "with 4 and 8"),
        ("allowed_batch_sizes: 4 allowed_batch_sizes: 2", "rising"),
        ("batch_size: 4", "cannot be read"),
        ("\xff", "cannot be read"),
    ],
)
def test_batching_parameters_that_a_server_would_refuse(
    exported, tmp_path, text, match
):
    file = tmp_path / "batching.config"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=match):
        saved_model.export(exported.run, tmp_path / "m", batching_config=file)
    assert not (tmp_path / "m").exists()


def test_single_trained_betas(tmp_path):
    """A model for a list of betas, and one for a single beta, in the graph."""
    model = export_runs.model(beta="choice")
    beta = tf.constant([1.0, 2.0, 4.0, 16.0, 16.1, np.nan])
    found = Signatures(model, "flag").encode(tf.zeros([6, 32, 32, 3]), beta)
    answered = np.isfinite(found["mean"]).all(1)
    assert answered.tolist() == [1, 0, 1, 1, 0, 0]
    said = vae_endpoints(model)[-1].function(tf.zeros([1], tf.int32))
    assert said["ranges"].numpy().tolist() == [[[[1, 1], [4, 4], [16, 16]]]]
    constant = Signatures(export_runs.model(beta="constant"))
    encode = tf.function(constant.encode, autograph=False)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="4, the one it was trained for"
    ):
        encode(tf.zeros([1, 32, 32, 3]), tf.constant([5.0]))
    keras.backend.clear_session()
