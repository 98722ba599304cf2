"""models.config and monitoring.config."""

import pytest
from google.protobuf import text_format
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import model_config
from serving.embedded.status import Code
from serving.embedded.status import StatusError
from serving.embedded.versions.table import State
from serving.embedded.versions.table import Table

GOOD = """
model_config_list {
  config {
    name: "a"
    base_path: "/models/a"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 1 versions: 3 } }
    version_labels { key: "stable" value: 1 }
  }
  config { name: "b" base_path: "gs://b" model_type: TENSORFLOW }
}
"""


def models(text):
    config = model_server_config_pb2.ModelConfigList()
    return text_format.Parse(text, config)


def error_of(call, *arguments) -> str:
    with pytest.raises(StatusError) as caught:
        call(*arguments)
    assert caught.value.code == Code.INVALID_ARGUMENT
    return caught.value.message


def test_reads_tf_servings_own_format(tmp_path):
    file = tmp_path / "models.config"
    file.write_text(GOOD)
    config = model_config.read_models(str(file))
    assert [model.name for model in config.config] == ["a", "b"]
    policy = config.config[0].model_version_policy
    assert list(policy.specific.versions) == [1, 3]
    assert config.config[0].version_labels["stable"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "Invalid protobuf file"),
        ("model_config_list { config { nme: 'a' } }", "nme"),
        ("", "expected a model_config_list"),
        ("model_config_list { config { base_path: '/a' } }", "expected a name"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, words):
    file = tmp_path / "models.config"
    file.write_text(text)
    message = error_of(model_config.read_models, str(file))
    assert str(file) in message
    assert words in message


def test_files_that_cannot_be_read(tmp_path):
    missing = tmp_path / "none"
    assert error_of(model_config.read_models, str(missing)) == (
        f"{missing}: No such file or directory"
    )
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "not a text file" in error_of(
        model_config.read_monitoring, str(binary)
    )


ONE = "config { name: 'a' base_path: '/a' model_platform: 'tensorflow' }"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE + ONE, "Illegal to list model a multiple times in config list"),
        (
            ONE.replace("/a", "a"),
            "Expected model a to have an absolute path or URI; got "
            "base_path()=a",
        ),
        (
            ONE.replace("tensorflow", "torch"),
            "Model a requests unsupported platform torch",
        ),
        (
            ONE.replace("model_platform: 'tensorflow'", ""),
            "Illegal setting neither model_type(deprecated) nor "
            "model_platform.",
        ),
        (
            ONE.replace("}", "model_type: TENSORFLOW }"),
            "Illegal setting both model_type(deprecated) and model_platform.",
        ),
    ],
)
def test_what_tf_serving_refuses(text, message):
    assert error_of(model_config.validate, models(text)) == message


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true path: "/m" }', "/m"),
        (
            "prometheus_config { enable: true }",
            "/monitoring/prometheus/metrics",
        ),
        ('prometheus_config { path: "/m" }', None),
        ("", None),
    ],
)
def test_monitoring_config(tmp_path, text, path):
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    assert model_config.read_monitoring(str(file)) == path


LABELLED = models(ONE.replace("}", "version_labels {key: 'l' value: 2} }"))


MOVED = models(ONE.replace("}", "version_labels {key: 'l' value: 1} }"))


def table_of(*versions):
    """A table with these versions of the model, loaded."""
    table = Table()
    table.aspire({"a": {number: "" for number in versions}})
    while (servable := table.next_action()) is not None:
        servable.state = State.AVAILABLE
    return table


def version_of(table):
    with table.use(ModelSpec(name="a", version_label="l")) as servable:
        return servable.version


def test_a_label_needs_a_loaded_version():
    table = table_of(1, 2)
    table.set_labels(LABELLED, False)
    assert version_of(table) == 2
    table.set_labels(MOVED, False)
    assert version_of(table) == 1
    with pytest.raises(StatusError) as caught:
        table_of(1).set_labels(LABELLED, False)
    assert caught.value.code == Code.FAILED_PRECONDITION
    assert caught.value.message == (
        "Request to assign label to version 2 of model a, which is not "
        "currently available for inference"
    )


def test_only_a_new_label_may_name_a_version_to_come():
    table = table_of(1)
    table.set_labels(LABELLED, True)
    table.set_labels(LABELLED, True)
    with pytest.raises(StatusError, match=r"Specific\(a, 2\)"):
        version_of(table)
    table = table_of(2)
    table.set_labels(LABELLED, True)
    with pytest.raises(StatusError):
        table.set_labels(MOVED, True)
    # A refused configuration changes nothing.
    assert version_of(table) == 2
