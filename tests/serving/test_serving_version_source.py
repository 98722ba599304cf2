"""Which versions a base path and a policy ask for."""

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded.status import StatusError
from serving.embedded.versions import source as version_source
from yoto_tf.contract.versions import parse_version


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("00000123", 123),
        ("-4", -4),
        ("+5", 5),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("1.tmp", None),
        (".tmp-3", None),
        ("v2", None),
        ("1_000", None),
        ("٣", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_version_numbers(name, version):
    assert parse_version(name) == version


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", {3}),
        ("model_version_policy { latest { num_versions: 2 } }", {2, 3}),
        ("model_version_policy { all {} }", {1, 2, 3}),
        ("model_version_policy { specific { versions: 1 versions: 9 } }", {1}),
    ],
)
def test_policies(tmp_path, policy, expected):
    for name in ("1", "2", "0003", "4.tmp", "five"):
        (tmp_path / name).mkdir()
    found = version_source.poll(models(tmp_path, policy).config)
    names = {1: "1", 2: "2", 3: "0003"}
    assert found == {"m": {n: str(tmp_path / names[n]) for n in expected}}


def models(base, policy=""):
    return text_format.Parse(
        f'config {{ name: "m" base_path: "{base}" {policy} }}',
        model_server_config_pb2.ModelConfigList(),
    )


def test_a_missing_base_path(tmp_path):
    with pytest.raises(StatusError) as caught:
        version_source.poll(models(tmp_path / "none").config)
    assert caught.value.message == (
        f"Could not find base path {tmp_path}/none for servable m with error "
        "No such file or directory"
    )


def test_a_base_path_that_no_path_can_be():
    text = 'config { name: "m" base_path: "/a\\000b" }'
    config = text_format.Parse(text, model_server_config_pb2.ModelConfigList())
    with pytest.raises(StatusError, match="null byte"):
        version_source.poll(config.config)
