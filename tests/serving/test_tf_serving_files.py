"""The files for TF Serving: messages, schemas, and what must fit together.

No server starts here; the flags are those of `model_servers/main.cc`.
"""

import pathlib
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export import batching
from serving.embedded import model_config

FOLDER = pathlib.Path(__file__).parents[2] / "serving" / "tf_serving"
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))
PROBES = ("startupProbe", "readinessProbe")
IMAGE = "tensorflow/serving:2.20.0"
FLAGS = {
    "port",
    "rest_api_port",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "file_system_poll_wait_seconds",
    "monitoring_config_file",
    "rest_api_timeout_in_ms",
    "enable_grpc_healthcheck_service",
    "enable_batching",
    "batching_parameters_file",
    "tensorflow_intra_op_parallelism",
    "tensorflow_inter_op_parallelism",
}


def read(name):
    return yaml.safe_load((FOLDER / name).read_text())


def container():
    spec = read("kubernetes/deployment.yaml")["spec"]["template"]["spec"]
    (found,) = spec["containers"]
    return found


def models():
    message = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((FOLDER / "models.config").read_text(), message)
    return message.model_config_list.config


def test_all_files_name_one_version():
    """KServe's own is one that lacks operations of TensorFlow 2.21."""
    model = read("kserve/inference_service.yaml")["spec"]["predictor"]["model"]
    assert IMAGE == f"tensorflow/serving:{model['runtimeVersion']}"
    assert container()["image"] == IMAGE
    assert IMAGE in (FOLDER / "compose.yaml").read_text()


def test_models_config_is_a_model_server_config():
    (model,) = models()
    assert model.name == "demo"
    assert model.base_path == "/models/demo"
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 1
    # As the embedded server reads it, with TF Serving's checks.
    accepted = model_config.read_models(str(FOLDER / "models.config"))
    assert list(accepted.config) == list(models())


def test_the_labels_shown_in_models_config_can_be_used():
    lines = (FOLDER / "models.config").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if "specific {" in line)
    shown = "\n".join(line.strip(" #") for line in lines[start : start + 3])
    model = text_format.Parse(shown, model_server_config_pb2.ModelConfig())
    assert dict(model.version_labels) == {"stable": 3, "canary": 4}
    assert list(model.model_version_policy.specific.versions) == [3, 4]


def test_batching_config_is_what_tf_serving_accepts():
    message = batching.read(FOLDER / "batching.config")
    assert batching.DEFAULT_FILE == FOLDER / "batching.config"
    assert list(message.allowed_batch_sizes) == [1, 2, 4, 8, 16, 32]
    assert message.max_batch_size.value == 32
    assert message.batch_timeout_micros.value == 1000
    assert not message.pad_variable_length_inputs


def test_monitoring_config_names_the_page_that_prometheus_reads():
    path = model_config.read_monitoring(str(FOLDER / "monitoring.config"))
    template = read("kubernetes/deployment.yaml")["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert path == annotations["prometheus.io/path"]
    assert annotations["prometheus.io/port"] == "8501"


@pytest.mark.parametrize("version", ["1.30.0", "1.33.0", "1.37.0"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.stem)
def test_manifests_fit_their_schemas(path, version):
    for document in yaml.safe_load_all(path.read_text()):
        # Strict: unknown fields are refused, as misspelt ones are.
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_would_be_found():
    deployment = read("kubernetes/deployment.yaml")
    deployment["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readyProbe"):
        kubernetes_validate.validate(deployment, "1.37.0", strict=True)


def test_all_that_is_needed_is_there():
    kinds = {read(p.relative_to(FOLDER))["kind"] for p in MANIFESTS}
    assert kinds == {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
    }
    kustomization = read("kustomization.yaml")
    assert sorted(kustomization["resources"]) == [
        str(p.relative_to(FOLDER)) for p in MANIFESTS
    ]
    (generated,) = kustomization["configMapGenerator"]
    assert all((FOLDER / name).is_file() for name in generated["files"])


def test_the_manifests_name_each_other_rightly():
    deployment = read("kubernetes/deployment.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    service = read("kubernetes/service.yaml")
    assert service["spec"]["selector"] == labels
    ports = {p["name"]: p["containerPort"] for p in container()["ports"]}
    assert ports == {"grpc": 8500, "http": 8501}
    assert {p["targetPort"] for p in service["spec"]["ports"]} == set(ports)
    assert all(p["port"] == ports[p["name"]] for p in service["spec"]["ports"])
    target = read("kubernetes/autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert target["kind"] == deployment["kind"]
    assert target["name"] == deployment["metadata"]["name"]
    # The autoscaler's percentage is of the request.
    assert container()["resources"]["requests"]["cpu"]
    volumes = {
        v["name"]: v for v in deployment["spec"]["template"]["spec"]["volumes"]
    }
    assert {m["name"] for m in container()["volumeMounts"]} == set(volumes)
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == read("kubernetes/volume.yaml")["metadata"]["name"]
    (generated,) = read("kustomization.yaml")["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == generated["name"]


def test_kustomize_builds_what_kubectl_applies():
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl, which builds without a cluster")
    built = subprocess.run(
        ["kubectl", "kustomize", FOLDER],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {d["kind"]: d for d in yaml.safe_load_all(built)}
    assert len(found) == len(MANIFESTS) + 1
    # The deployment asks for the files by the name with their hash.
    template = found["Deployment"]["spec"]["template"]["spec"]
    volumes = {v["name"]: v for v in template["volumes"]}
    config = found["ConfigMap"]
    assert volumes["config"]["configMap"] == {
        "name": config["metadata"]["name"]
    }
    text = (FOLDER / "models.config").read_text()
    assert config["data"]["models.config"] == text


def test_probes_ask_for_a_configured_model():
    (model,) = models()
    probes = {container()[p]["httpGet"]["path"] for p in PROBES}
    assert probes == {f"/v1/models/{model.name}"}
    startup = container()["startupProbe"]
    # Five retries, a minute apart.
    assert startup["periodSeconds"] * startup["failureThreshold"] > 300


def arguments(where):
    if where == "compose":
        return read("compose.yaml")["services"]["tf-serving"]["command"]
    return container()["args"]


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_flags_are_tf_servings_and_name_files_that_are_there(where):
    file = (
        "compose.yaml" if where == "compose" else "kubernetes/deployment.yaml"
    )
    commented = [
        line.strip(" #-")
        for line in (FOLDER / file).read_text().splitlines()
        if line.strip().startswith("# - --")
    ]
    assert len(commented) == 2
    shown = [a.removeprefix("--") for a in arguments(where)] + commented
    flags = dict(a.split("=", 1) for a in shown)
    assert set(flags) <= FLAGS
    assert flags["port"] == "8500"
    assert flags["rest_api_port"] == "8501"
    files = [v for v in flags.values() if v.startswith("/config/")]
    assert len(files) == 3
    for name in files:
        assert (FOLDER / name.removeprefix("/config/")).is_file()


def test_compose_serves_what_the_readme_exports():
    service = read("compose.yaml")["services"]["tf-serving"]
    mounts = dict(v.split(":")[:2] for v in service["volumes"])
    assert mounts == {"../../models": "/models", ".": "/config"}
    assert all(v.endswith(":ro") for v in service["volumes"])
    assert all(p.startswith("127.0.0.1:") for p in service["ports"])


def test_the_image_is_pinned_to_one_version():
    service = read("compose.yaml")["services"]["tf-serving"]
    assert service["image"] == container()["image"] == IMAGE
