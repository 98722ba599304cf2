"""Studies that come with the project, each kind of them run in small."""

import dataclasses
import math
import os
import queue

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

from training import cut
from training.metrics import columns_of
from training.study import outcome
from training.study import results as results_module
from training.study import worker
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.data import load_images
from yoto_tf.run_directory import RunDirectory

_ONE_EPOCH = 'training.steps="unset"', "training.epochs=1"
_NETWORK = (
    "data.image_size=32",
    "model.base_channels=4",
    "model.convs_per_block=1",
    "model.dense_units=32",
    "model.latent_size=4",
)


class FewDigits(tfds.core.GeneratorBasedBuilder):
    """A small MNIST: written digits, grey, 28 x 28, in two splits."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        image = tfds.features.Image(shape=(28, 28, 1))
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"image": image})
        )

    def _split_generators(self, dl_manager):
        of_split = {"train": slice(0, 400), "test": slice(400, 500)}
        return {n: self._generate_examples(s) for n, s in of_split.items()}

    def _generate_examples(self, part):
        for number, small in enumerate(load_digits().images[part]):
            large = np.kron(small * 255 / 16, np.ones((3, 3)))
            image = np.pad(large, 2)[..., None].astype(np.uint8)
            yield number, {"image": image}


@pytest.fixture
def run_in_small(tmp_path, monkeypatch):
    """Runs a study, or some of its methods, one run after the other in this
    process; returns its spec, its plan and its results. Run directories,
    report and figures lie in `tmp_path`."""

    def run(name, *settings, methods=None):
        spec = load_spec(name, settings=["seeds=[0]", *settings])
        chosen = {m: spec.methods[m] for m in methods or spec.methods}
        spec = dataclasses.replace(spec, methods=chosen)
        planned = planned_runs(spec)
        monkeypatch.setattr(worker, "_messages", queue.SimpleQueue())
        monkeypatch.setattr(worker, "_parent", os.getppid())
        failures = {
            one.name: reason
            for one in planned
            if (
                reason := worker.train_and_score(one, tmp_path / one.name, name)
            )
        }
        assert failures == {}
        results = results_module.collect(spec, planned, tmp_path, failures)
        results_module.write(
            results, tmp_path / "results.csv", spec.model_family
        )
        outcome.write_report(spec, planned, tmp_path, tmp_path, "x", str)
        _check_rows(spec, planned, results)
        _check_report(spec, results, tmp_path)
        return spec, planned, results

    return run


@pytest.fixture
def tiny(data_dir):
    """Settings of a small network on a small set."""
    return (
        *_NETWORK,
        'data.name="rendered_shapes3d/tiny"',
        f'data.data_dir="{data_dir}"',
    )


def _check_rows(spec, planned, results):
    """One for each run and point, with a loss and a time."""
    expected = [(one.name, *p.values()) for one in planned for p in one.points]
    names = ["run", *spec.model_family.parameters]
    assert list(results[names].itertuples(index=False, name=None)) == expected
    objective = spec.model_family.objective.name
    found = results[[objective, "train_seconds", "train_cpu_seconds"]]
    assert np.isfinite(found.to_numpy(float)).all()
    assert (found.train_seconds > 0).all()
    # All methods are scored on the same examples, and trained on the same.
    assert results.data.nunique() == 1


def _check_losses(results):
    """Of images: they follow from rate, distortion and beta."""
    assert (results.rate > 0).all()
    expected = results.distortion + results.beta * results.rate
    np.testing.assert_allclose(results.full_loss, expected, rtol=1e-5)
    bits = expected / results.example_values / math.log(2)
    np.testing.assert_allclose(results.full_loss_bpd, bits, rtol=1e-5)
    steps, seconds = results.steps, results.train_cpu_seconds
    assert (results.cpu_ms_per_step <= 1001 * seconds / steps).all()


def _check_report(spec, results, folder):
    text = (folder / "report.md").read_text()
    for method in spec.methods:
        assert f"| {spec.title(method)}" in text
    assert "nan" not in text
    assert "have no results yet" not in text
    names = {"trade_off", *(line.name for line in spec.model_family.lines)}
    names |= {"full_loss_difference"} if spec.fixed_methods else set()
    names |= {"reconstructions"} if "rate" in results else set()
    names |= {"metrics"} if "nll" in results else set()
    assert {p.stem for p in folder.glob("*.png")} == names
    for name in names:
        assert f"({name}.png)" in text
        # More than a blank page.
        greys = np.asarray(Image.open(folder / f"{name}.png").convert("L"))
        assert (np.bincount(greys.ravel()) > 0).sum() > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "short_rendered_shapes3d",
        "report_cifar10",
        "report_cifar10_widths",
        "report_cifar10_width4",
    ],
)
def test_shipped_studies_run_in_small(name, tiny, run_in_small):
    """Every method and width."""
    spec, planned, results = run_in_small(
        name, *tiny, *_ONE_EPOCH, "grid.beta=[16]"
    )
    _check_losses(results)
    assert results.steps.nunique() == 1
    assert set(results.method) == set(spec.methods)
    widths = {one.config.model.width for one in planned}
    assert widths == set(results.width) == set(spec.widths)


@pytest.mark.slow
def test_a_changed_default_is_another_model_beside_it(tiny, run_in_small):
    """Gaussian, and without a fixed weight to compare with."""
    name = "normalization_cifar10_gaussian"
    spec, planned, results = run_in_small(
        name, *tiny, *_ONE_EPOCH, "grid.beta=[1, 256]"
    )
    assert not spec.fixed_methods
    assert {one.config.model.likelihood for one in planned} == {"gaussian"}
    _check_losses(results)
    # What one knows who knows nothing: for each value a standard Gaussian's
    # entropy.
    entropy = 3072 * math.log(2 * math.pi * math.e) / 2
    np.testing.assert_allclose(results.reference_distortion, entropy, rtol=1e-6)
    ours, changed = (results[results.method == m] for m in spec.methods)
    assert ours.steps.iloc[0] == changed.steps.iloc[0]
    assert (ours.full_loss.array != changed.full_loss.array).all()


@pytest.mark.slow
def test_squared_errors_are_of_grey_pictures(tmp_path, run_in_small):
    _, planned, results = run_in_small(
        "short_mnist_squared_error",
        *_NETWORK,
        *_ONE_EPOCH,
        'data.name="few_digits"',
        f'data.data_dir="{tmp_path}"',
        "grid.beta=[0.01, 10]",
        methods=["default"],
    )
    _check_losses(results)
    config = planned[0].config
    assert (config.beta.low, config.beta.high) == (0.01, 10.0)
    images = np.float32(load_images(config.data, ("test",)).test / 255)
    # One channel, with a border of two pixels around 28.
    assert images.shape == (100, 32, 32, 1)
    assert set(results.example_values) == {32 * 32}
    # Of a grey picture beside one of black and white.
    assert set(results.reference_distortion) == {32 * 32 / 4}
    model = RunDirectory(tmp_path / planned[0].name).load_model()
    rng = np.random.default_rng(0)
    for row in results.itertuples():
        mean, deviation = map(np.asarray, model.encode(images, row.beta))
        codes = mean + deviation * rng.standard_normal(mean.shape)
        # What is scored is not clipped to [0, 1], as decoded pictures are.
        beta = np.full(len(codes), row.beta, np.float32)
        found = model.likelihood_of(np.float32(codes), {"beta": beta})
        errors = np.square(images - np.asarray(found)).sum((1, 2, 3))
        # The noise is another.
        assert row.distortion == pytest.approx(errors.mean(), rel=0.01)


@pytest.mark.slow
def test_a_study_of_photographs_reads_what_was_cut(tmp_path, run_in_small):
    (tmp_path / "photographs").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        few = rng.integers(0, 256, (6, 8, 3), np.uint8)
        large = Image.fromarray(few).resize(
            (256, 192), Image.Resampling.BICUBIC
        )
        large.save(tmp_path / "photographs" / f"{number}.png")
    # Of 192 x 256 pixels 6 x 8 squares.
    squares = tmp_path / "squares"
    assert cut.cut(tmp_path / "photographs", squares, 32, grey=True) == 144
    _, planned, results = run_in_small(
        "short_photos_grey",
        *_NETWORK,
        *_ONE_EPOCH,
        f'data.name="{squares}"',
        "training.batch_size=32",
        "grid.beta=[16]",
        methods=["default"],
    )
    _check_losses(results)
    splits = load_images(planned[0].config.data)
    parts = [splits.train, splits.validation, splits.test]
    assert sum(map(len, parts)) == 144
    # Whole batches.
    assert set(results.steps) == {len(splits.train) // 32}
    # PNG files without colours are pictures of three equal ones.
    assert splits.test.shape[1:] == (32, 32, 3)
    assert np.ptp(splits.test, axis=-1).max() == 0


@pytest.mark.slow
def test_a_study_with_metrics_measures_every_run(tiny, tmp_path, run_in_small):
    spec, planned, results = run_in_small(
        "middle_rendered_shapes3d",
        *tiny,
        *_ONE_EPOCH,
        "grid.beta=[64]",
        methods=["default", "fixed"],
    )
    _check_losses(results)
    found = columns_of(results.to_dict("records"), spec.model_family)
    columns = [c for m in spec.model_family.metrics.values() for c in m.columns]
    assert [c.name for c in found] == [c.name for c in columns]
    for column in columns:
        assert np.isfinite(results[column.name]).all(), column.name
    images = load_images(planned[0].config.data, ("test",)).test
    ceiling = math.log(len(images))
    np.testing.assert_allclose(
        results.mutual_information_ceiling, ceiling, rtol=1e-5
    )
    # More samples know more of an image; both bounds are of the same images.
    assert (results.nll <= results.elbo_nll).all()
    for one, row in zip(planned, results.itertuples(), strict=True):
        [scored] = RunDirectory(tmp_path / one.name).read_curve()
        assert scored["nll"] == pytest.approx(row.nll)


@pytest.mark.slow
def test_a_search_scores_what_was_held_out(tiny, tmp_path, run_in_small):
    _, planned, results = run_in_small(
        "search_rendered_shapes3d",
        *tiny,
        *_ONE_EPOCH,
        "grid.beta=[1]",
        "methods.fixed_high.grid.beta=[1]",
        methods=["default_low", "fixed_high"],
    )
    _check_losses(results)
    assert (
        "on held-out training examples" in (tmp_path / "report.md").read_text()
    )
    rates = [one.config.optimizer.learning_rate for one in planned]
    assert rates == [2.5e-3, 1e-2]
    splits = load_images(planned[0].config.data)
    for one, row in zip(planned, results.itertuples(), strict=True):
        model = RunDirectory(tmp_path / one.name).load_model()
        held_out = _rate(model, splits.validation)
        assert row.rate == pytest.approx(held_out, rel=1e-4)
        # Of the test images it is another.
        assert row.rate != pytest.approx(_rate(model, splits.test), rel=1e-3)


def _rate(model, images):
    """KL divergence from the prior at beta = 1, in nats per image."""
    mean, deviation = (np.float64(part) for part in model.encode(images, 1.0))
    nats = (mean**2 + deviation**2 - 1) / 2 - np.log(deviation)
    return nats.sum(axis=1).mean()


@pytest.mark.slow
def test_half_the_digits_give_nearly_the_same_losses(tiny, run_in_small):
    _, planned, results = run_in_small(
        "precision_cifar10",
        *tiny,
        *_ONE_EPOCH,
        "widths=[1]",
        "grid.beta=[1, 256]",
        methods=["default", "default_bfloat16"],
    )
    _check_losses(results)
    dtypes = [one.config.training.dtype for one in planned]
    assert dtypes == ["float32", "mixed_bfloat16"]
    whole, half = (
        results[results.method == m] for m in dict.fromkeys(results.method)
    )
    assert (half.full_loss.array != whole.full_loss.array).all()
    np.testing.assert_allclose(half.full_loss, whole.full_loss, rtol=0.01)


@pytest.mark.slow
def test_a_whole_front_has_runs_of_several_lengths(tiny, run_in_small):
    _, planned, results = run_in_small(
        "front_cifar10",
        *tiny,
        "grid.beta=[0.125, 512]",
        methods=["default_1", "fixed_3"],
    )
    _check_losses(results)
    assert [len(one.points) for one in planned] == [2, 1, 1]
    [epoch] = set(results[results.method == "default_1"].steps)
    assert set(results[results.method == "fixed_3"].steps) == {3 * epoch}


@pytest.mark.slow
def test_a_study_of_a_table_moves_a_threshold_beside_it(run_in_small):
    _, _, results = run_in_small(
        "credit_cost_comparison",
        "training.steps=60",
        "methods.fixed_equal_cost.training.steps=30",
        "grid.miss=[1, 100]",
        methods=["ours", "fixed_equal_cost", "threshold"],
    )
    rates = results[["false_alarm_rate", "miss_rate"]].to_numpy(float)
    assert ((rates >= 0) & (rates <= 1)).all()
    # Cost per row: alarms and misses in a share of good and bad customers.
    bad = _share(results)
    expected = (1 - bad) * results.false_alarm_rate
    expected += bad * results.miss * results.miss_rate
    np.testing.assert_allclose(results.expected_cost, expected, rtol=1e-3)
    # One classifier; with another threshold it finds more.
    one = results[results.method == "threshold"].set_index("miss")
    assert one.auc.nunique() == 1
    assert one.miss_rate[100.0] < one.miss_rate[1.0]


def _share(results):
    """Of misses in all, as the first row has it."""
    row = results.iloc[0]
    return (row.expected_cost - row.false_alarm_rate) / (
        row.miss * row.miss_rate - row.false_alarm_rate
    )
