"""The command line of `python -m serving.server`."""

import pytest

from serving.embedded import flags


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one of --model_base_path and --model_config_file is needed"),
        (["--model_base_path=/m", "--prt=1"], "unrecognized arguments"),
        (["--model_base_path=/m", "--port=x"], "'x' is no whole number"),
        (["--model_base_path=/m", "--port=65536"], "65536 is no port"),
        (["--model_base_path=/m", "--port=8501"], "are both 8501"),
        (
            ["--model_base_path=/m", "--port=0", "--rest_api_port=0"],
            "nothing to serve",
        ),
        (
            ["--model_base_path=/m", "--rest_api_timeout_in_ms=0"],
            "0 is not above 0",
        ),
        (["--model_base_path=/m", "--drain_seconds=-1"], "-1 is below 0"),
        (
            ["--model_base_path=/m", "--enable_model_warmup=yes"],
            "'yes' is neither true nor false",
        ),
        (["--model_base"], "unrecognized arguments"),
    ],
)
def test_wrong_flags(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        flags.parse(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_flags_are_tf_servings():
    found = flags.parse(
        ["--model_base_path=/m", "--enable_model_warmup=false", "--port", "9"]
    )
    assert found.model_name == "default"
    assert (found.port, found.rest_api_port) == (9, 8501)
    assert found.rest_api_timeout_in_ms == 30000
    assert found.file_system_poll_wait_seconds == 1
    assert found.max_num_load_retries == 5
    assert found.load_retry_interval_micros == 60_000_000
    assert not found.enable_model_warmup
    assert not found.allow_version_labels_for_unavailable_models


def test_help_explains_every_flag(capsys):
    with pytest.raises(SystemExit) as caught:
        flags.parse(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "A development and test server" in text
    for name in (
        "--port",
        "--rest_api_port",
        "--model_name",
        "--model_base_path",
        "--model_config_file",
        "--monitoring_config_file",
        "--file_system_poll_wait_seconds",
        "--rest_api_timeout_in_ms",
    ):
        assert f"\n  {name}" in text
