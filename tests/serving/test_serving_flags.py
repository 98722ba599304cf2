"""The command line of `python -m serving.server`."""

import pathlib
import re
import threading

import pytest

from serving.embedded import flags
from serving.embedded import launch

TF_SERVING = pathlib.Path(__file__).parents[2] / "serving/tf_serving"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one of --model_base_path and --model_config_file is needed"),
        (
            ["--model_base_path=/m", "--prt=1"],
            "Unknown command line flag 'prt'",
        ),
        (["--model_base_path=/m", "--port=x"], "flag --port=x: invalid"),
        (["--model_base_path=/m", "--port=65536"], "[0, 65535]"),
        (["--model_base_path=/m", "--port=8501"], "are both 8501"),
        (
            ["--model_base_path=/m", "--port=0", "--rest_api_port=0"],
            "nothing to serve",
        ),
        (
            ["--model_base_path=/m", "--rest_api_timeout_in_ms=0"],
            "flag --rest_api_timeout_in_ms=0: 0 is not an integer in the range",
        ),
        (
            ["--model_base_path=/m", "--drain_seconds=-1"],
            "flag --drain_seconds=-1: -1 is not an integer in the range",
        ),
        (
            ["--model_base_path=/m", "--enable_model_warmup=yes"],
            "flag --enable_model_warmup=yes: ('Non-boolean",
        ),
        (
            ["--model_base_path=/m", "--max_request_bytes=3000000000"],
            "the range [1, 2147483647]",
        ),
        (
            ["--model_base_path=/m", "--file_system_poll_wait_seconds=1e10"],
            "flag --file_system_poll_wait_seconds=1e10: invalid",
        ),
        (
            ["--model_base_path=/m", f"--max_num_load_retries={10**20}"],
            "the range [0, 2147483647]",
        ),
        (["--model_base_path=/m", "--model_name="], "--model_name is empty"),
        (["--model_base"], "Unknown command line flag 'model_base'"),
        (["--model_base_path=/m", "more"], "unexpected argument 'more'"),
        # What would change answers is not passed over in silence.
        (["--model_base_path=/m", "--ssl_config_file=f"], "Unknown"),
        (["--model_base_path=/m", "--saved_model_tags=gpu"], "Unknown"),
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
    assert "a part of TF Serving's" in " ".join(text.split())
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


# Of tensorflow_model_server's main.cc, written down once more.
@pytest.mark.parametrize(
    "name",
    [
        "enable_profiler",
        "enable_signature_method_name_check",
        "flush_filesystem_caches",
        "grpc_channel_arguments",
        "num_load_threads",
        "num_request_iterations_for_warmup",
        "num_tflite_interpreters_per_pool",
        "num_tflite_pools",
        "num_unload_threads",
        "per_process_gpu_memory_fraction",
        "remove_unused_fields_from_bundle_metagraph",
        "skip_initialize_tpu",
        "tensorflow_inter_op_parallelism",
        "tensorflow_intra_op_parallelism",
        "tensorflow_session_config_file",
        "tensorflow_session_parallelism",
        "thread_pool_factory_config_file",
        "xla_gpu_compilation_enabled",
    ],
)
def test_a_flag_of_tf_serving_is_taken(name):
    found = flags.parse(["--model_base_path=/m", f"--{name}=1"])
    assert found.without_effect == (name,)


def test_flags_of_tf_serving_that_change_no_answer(caplog, monkeypatch):
    found = flags.parse(
        [
            "--model_base_path=/m",
            "--tensorflow_intra_op_parallelism=2",
            "-flush_filesystem_caches",
            "--model_name",
            "num_load_threads",
        ]
    )
    assert found.without_effect == (
        "tensorflow_intra_op_parallelism",
        "flush_filesystem_caches",
    )
    assert found.model_name == "num_load_threads"
    monkeypatch.setattr(launch, "EmbeddedServer", _no_server)
    assert launch.serve(found, threading.Event()) == 1
    for name in found.without_effect:
        assert f"--{name} has no effect in this server" in caplog.text


def test_what_undefok_names_is_ignored_and_told(caplog, monkeypatch, capsys):
    arguments = ["--model_base_path=/m", "--undefok=foo,bar"]
    found = flags.parse(
        [*arguments, "--foo=1", "--nobar", "--noenable_batching"]
    )
    assert found.without_effect == ("foo", "nobar")
    apart = ["--undefok", "foo", "--foo", "--monitoring_config_file", ""]
    apart += ["--file_system_poll_wait_seconds", "-1"]
    found = flags.parse([*arguments[:1], *apart])
    assert found.without_effect == ("foo",)
    assert found.monitoring_config_file == ""
    assert found.file_system_poll_wait_seconds == -1
    monkeypatch.setattr(launch, "EmbeddedServer", _no_server)
    assert launch.serve(found, threading.Event()) == 1
    assert "--foo has no effect in this server" in caplog.text
    with pytest.raises(SystemExit) as caught:
        flags.parse([*arguments, "--fooo=1"])
    assert caught.value.code == 2
    assert "Unknown command line flag 'fooo'" in capsys.readouterr().err


def test_a_file_of_flags(tmp_path, capsys):
    file = tmp_path / "flags"
    file.write_text("--model_base_path=/m\n--num_load_threads=2\n")
    found = flags.parse([f"--flagfile={file}"])
    assert found.model_base_path == "/m"
    assert found.without_effect == ("num_load_threads",)
    with pytest.raises(SystemExit) as caught:
        flags.parse([f"--flagfile={tmp_path}/none"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def _no_server(*_):
    raise OSError("none")


@pytest.mark.parametrize(
    "where", ["compose.yaml", "kubernetes/deployment.yaml"]
)
def test_the_flags_of_our_manifests(where):
    """Also those that stand there as comments."""
    text = (TF_SERVING / where).read_text()
    shown = re.findall(r"^ *(?:# )?- (--\S+)$", text, re.MULTILINE)
    assert len(shown) > 8
    found = flags.parse(shown)
    assert found.port == 8500
    assert found.rest_api_port == 8501
    assert found.model_config_file == "/config/models.config"
    assert found.enable_grpc_healthcheck_service
    assert found.enable_batching
    tuned = [name for name in found.without_effect if "parallelism" in name]
    assert len(tuned) == (0 if where == "compose.yaml" else 2)
