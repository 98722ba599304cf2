"""Studies as TOML files: what they say, what is refused, which runs follow."""

import dataclasses

import pytest

from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from training.study.spec_file import shipped
from yoto_tf.errors import InputError
from yoto_tf.families import get_preset
from yoto_tf.families.vae.loss_config import BetaConfig
from yoto_tf.families.vae.loss_config import ObjectiveConfig
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.strict_config import with_settings

TEXT = """
summary = "A test."
preset = "smoke"
seeds = [0, 3]
widths = [1, 2]
grid.beta = [1, 16]

[overrides]
training.epochs = 7
"optimizer.learning-rate" = 1e-4

[methods.fixed]
title = "fixed weight"
fixed = true
seeds = [0]

[methods.film]
grid.beta = [1, 2, 16]
widths = [1]
model.conditioning.kind = "film"
training.epochs = 9
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("setting", "refused"),
    [
        ("data.test_examples = 9", True),
        ('data.name = "cifar10"', True),
        ("data.split_seed = 1", True),
        ("data.train_examples = 100", False),
    ],
)
def test_methods_are_scored_on_the_same_examples(write, setting, refused):
    spec = load_spec(write(f"{TEXT}{setting}\n"))
    if not refused:
        assert planned_runs(spec)
        return
    name = setting.split(" ")[0]
    sentence = f"same examples, received: film with another {name} than fixed"
    with pytest.raises(InputError, match=sentence):
        planned_runs(spec)


def test_a_study_says_its_runs_seed_by_seed(write):
    spec = load_spec(write(TEXT))
    assert spec.name == "mine"
    runs = planned_runs(spec)
    assert [r.name for r in runs] == [
        "fixed/width1-seed0-beta1",
        "fixed/width1-seed0-beta16",
        "fixed/width2-seed0-beta1",
        "fixed/width2-seed0-beta16",
        "film/width1-seed0",
        "film/width1-seed3",
    ]
    fixed, film = runs[1], runs[-1]
    assert fixed.config.beta.distribution == "constant"
    assert fixed.config.beta.values == (16.0,)
    assert fixed.points == [{"beta": 16.0}]
    assert runs[2].config.model.width == 2
    assert fixed.config.training.epochs == 7
    assert film.config.training.epochs == 9
    assert film.config.training.seed == 3
    assert film.config.optimizer.learning_rate == 1e-4
    assert film.config.model.conditioning.kind == "film"
    assert film.config.beta == get_preset("smoke").config.beta
    assert film.points == [{"beta": b} for b in (1.0, 2.0, 16.0)]
    assert [spec.title(m) for m in spec.methods] == ["fixed weight", "film"]
    assert spec.fixed_methods == ["fixed"]


def test_the_command_line_replaces_what_the_file_says(write):
    settings = [
        "seeds=[5]",
        "training.epochs=1",
        "methods.film.training.epochs=2",
    ]
    spec = load_spec(write(TEXT), preset="cifar10", settings=settings)
    # Another data set, another folder.
    assert spec.name == "mine_cifar10"
    runs = planned_runs(spec)
    assert {r.config.data.name for r in runs} == {"cifar10"}
    assert {r.seed for r in runs if r.method == "film"} == {5}
    assert [r.config.training.epochs for r in runs] == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("name", shipped())
def test_shipped_studies_can_be_planned(name, tmp_path, monkeypatch):
    spec = load_spec(name)
    runs = planned_runs(spec)
    assert len({r.name for r in runs}) == len(runs)
    # Of what is divided by, ours alone is compared.
    assert spec.fixed_methods or name.startswith(
        ("normalization_", "sensitivity_")
    )
    # A comparison at equal steps; those of tables have rows at equal cost, and
    # a whole front is compared by what it costs.
    trainings = [r.config.training for r in runs]
    if not name.endswith("_comparison") and not name.startswith("front_"):
        assert len({(t.epochs, t.steps) for t in trainings}) == 1
    # What is reported was decided before.
    reported = name.startswith(
        ("short_", "middle_", "report_", "ablation_", "normalization_")
    )
    assert bool(spec.protocol) == reported
    chosen = name.startswith(("search_", "precision_", "sensitivity_"))
    assert spec.scored == ("validation" if chosen else "test")


# All that a set of data brings along, its range of beta beside them.
_OF_A_SET = "likelihood", "latent_size", "base_channels", "convs_per_block"
_OF_A_SET += "dense_units", "width"


def _assert_default_method(config):
    """All that it says is what settings say by themselves."""
    sizes = {name: getattr(config.model, name) for name in _OF_A_SET}
    assert config.model == ModelConfig(**sizes)
    assert config.model.conditioning == ConditioningConfig()
    assert config.model.initial_variance is None
    assert config.objective == ObjectiveConfig()
    ends = config.beta.low, config.beta.high
    assert config.beta == BetaConfig(low=ends[0], high=ends[1])


@pytest.mark.slow
def test_the_default_is_told_nothing_of_the_data():
    """Over all sets ours differs in network, batch and range alone, and over
    lengths in the optimizer's rate and its warm-up."""
    lengths, optimizers = {}, set()
    for name in shipped():
        if not name.startswith(("short_", "middle_", "report_")):
            continue
        if name == "report_cifar10_softplus":
            # Of fixed weights alone, beside those of report_cifar10.
            continue
        runs = planned_runs(load_spec(name))
        ours = [r.config for r in runs if r.method == "default"]
        assert len({r.seed for r in runs}) == len(ours)
        for config in ours:
            _assert_default_method(config)
            training, optimizer = config.training, config.optimizer
            rate = optimizer.learning_rate, optimizer.warmup_steps
            length = training.steps, training.epochs
            lengths.setdefault(length, set()).add(rate)
            optimizers.add(
                dataclasses.replace(
                    optimizer, learning_rate=1.0, warmup_steps=0
                )
            )
    # Steps or epochs; one rate for each.
    assert lengths == {
        (1000, None): {(5e-3, 50)},
        (6000, None): {(2.75e-3, 300)},
        (None, 100): {(1.5e-3, 1950)},
    }
    assert len(optimizers) == 1


@pytest.mark.parametrize(
    "name", ["rendered_shapes3d", "cifar10", "shapes3d", "smoke"]
)
def test_our_presets_have_the_method_of_the_studies(name):
    _assert_default_method(get_preset(name).config)


def test_unset_is_none():
    runs = planned_runs(load_spec("report_cifar10"))
    film = next(r.config for r in runs if r.method == "film")
    assert film.model.conditioning.largest_map is None
    assert film.beta.adaptive == 0


def test_the_pictures_of_the_real_shapes3d_are_one_word_away():
    spec = load_spec("report_rendered_shapes3d", preset="shapes3d")
    runs = planned_runs(spec)
    assert {r.config.data.name for r in runs} == {"shapes3d"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "seeds = [0, 3]",
            "sed = [0]",
            r"mine\.toml: expected .*'seeds'.*'sed'",
        ),
        ("seeds = [0, 3]", "", "expected seeds = "),
        ("seeds = [0, 3]", "seeds = []", "seeds with one entry or more"),
        ("seeds = [0, 3]", "seeds = [0, 0]", "different numbers"),
        ("seeds = [0, 3]", "seeds = [-1]", "a whole number from 0"),
        ("seeds = [0, 3]", 'seeds = ["a"]', "a list, each a whole number"),
        ("grid.beta = [1, 16]", "grid.gamma = [1]", "grid with values of beta"),
        ("grid.beta = [1, 16]", "grid.beta = 1", "grid.beta as a list"),
        ("grid.beta = [1, 16]", "grid.beta = [true, 16]", "different numbers"),
        ("grid.beta = [1, 16]", "grid.beta = [1, nan]", "different numbers"),
        ("grid.beta = [1, 16]", "grid.beta = [1, inf]", "different numbers"),
        ("grid.beta = [1, 16]", "grid.beta = [1, -16]", "above 0"),
        ("grid.beta = [1, 2, 16]", "grid.beta = [1, 0]", "above 0"),
        ("grid.beta = [1, 2, 16]", "grid.beta = [2]", "share a point with"),
        ("grid.beta = [1, 16]", "grid = 1", "expected grid to be"),
        ('preset = "smoke"', 'preset = "x"', "a preset among .*'cifar10'"),
        (
            "training.epochs = 7",
            "training.seed = 7",
            r"seeds = \[...\].*seed=7",
        ),
        ("training.epochs = 9", "model.width = 4", r"widths = \[...\].*=4"),
        ("seeds = [0, 3]", 'seeds = [0]\nname = "q"', "no key 'name'"),
        ("[methods.film]", "[methods.'../film']", "can name a folder.*film"),
        ("[methods.film]", "[methods.'']", "can name a folder"),
        ("fixed = true", "fixd = true", r"\[methods\.fixed\] .*'fixd'"),
        ("fixed = true", "fixed = 1", "expected fixed to be"),
        ("[methods.fixed]", "[[methods.fixed]]", "expected a table"),
        ("[overrides]", "overrides = 1\n[data]", "expected a table"),
        ("summary", "summary = ", "line 2"),
    ],
)
def test_what_a_study_cannot_say_is_refused_in_a_sentence(
    write, old, new, sentence
):
    with pytest.raises(InputError, match=sentence):
        load_spec(write(TEXT.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("training.epoch=1", r"method fixed: .*'training\.epoch'"),
        ("training.epochs.x=1", r"'training\.epochs\.x'"),
        ("model.conditioning=1", "below model.conditioning"),
        ("training.batch_size=0", "batch_size to be above 0"),
        ("training.epochs", "NAME=VALUE"),
        ("model.width=4", r"widths = \[...\], received: model.width=4"),
        ("training.seed=3", r"seeds = \[...\], received: training.seed=3"),
        ("methods=3", r"tables \[methods.NAME\], received: methods=3"),
    ],
)
def test_settings_are_checked_before_anything_is_trained(
    write, setting, sentence
):
    with pytest.raises(InputError, match=sentence):
        planned_runs(load_spec(write(TEXT), settings=[setting]))


def test_methods_are_scored_by_the_same_loss(write):
    path = write(TEXT + 'model.likelihood = "gaussian"\n')
    sentence = "by the same loss.*film with another model.likelihood than fixed"
    with pytest.raises(InputError, match=sentence):
        planned_runs(load_spec(path))


def test_a_base_without_methods_is_a_sentence(write):
    path = write(TEXT)
    own = path.with_name("own.toml")
    own.write_text('base = "mine.toml"\nmethods = "unset"\n')
    with pytest.raises(InputError, match=r"tables \[methods.NAME\]"):
        load_spec(own)


def test_a_setting_that_a_method_has_itself_is_not_set_for_all(write):
    path = write(TEXT)
    with pytest.raises(InputError, match="which method film has as 9"):
        load_spec(path, settings=["training.epochs=1"])
    both = ["training.epochs=1", "methods.film.training.epochs=2"]
    for settings in (both, both[::-1]):
        runs = planned_runs(load_spec(path, settings=settings))
        epochs = {r.method: r.config.training.epochs for r in runs}
        assert epochs == {"fixed": 1, "film": 2}


def test_values_that_no_label_can_tell_are_refused(write):
    grid = "grid.beta = [0.0316227766, 16]"
    with pytest.raises(InputError, match=r"six digits.*0\.0316228, received"):
        load_spec(write(TEXT.replace("grid.beta = [1, 16]", grid)))


def test_held_out_examples_have_no_factors(write):
    text = f'scored = "validation"\nmetrics = ["all"]\n{TEXT}'
    with pytest.raises(InputError, match="without the factors.*dci"):
        load_spec(write(text))


def test_a_threshold_is_not_tuned_on_what_is_scored():
    settings = ['scored="validation"']
    with pytest.raises(InputError, match="method tuned: .*'of_cost'"):
        planned_runs(load_spec("credit_cost_comparison", settings=settings))


def test_an_unknown_study_is_told_which_there_are(tmp_path):
    with pytest.raises(InputError, match="among .*'short_cifar10'"):
        load_spec("no_such_study")
    with pytest.raises(InputError, match="expected a TOML file"):
        load_spec(tmp_path / "missing.toml")


def test_settings_leave_the_rest_of_the_configuration_alone():
    config = get_preset("cifar10").config
    changed = with_settings(config, {"model.conditioning.sites": ["conv"]})
    assert changed.model.conditioning.sites == ("conv",)
    back = with_settings(
        changed,
        {"model.conditioning.sites": config.model.conditioning.sites},
    )
    assert back == config
