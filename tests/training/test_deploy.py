"""The files for clusters: their schemas, and that their commands train.

No scheduler runs here. A command is started as the scheduler would start it,
with the variables that it would set.
"""

import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import jsonschema
import kubernetes_validate
import pytest
import workers_on_loopback as loopback
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from yoto_tf.run_directory import RunDirectory

DEPLOY = loopback.ROOT / "training" / "deploy"
KSERVE = loopback.ROOT / "serving/tf_serving/kserve/inference_service.yaml"


SCHEMAS = loopback.ROOT / "tests" / "schemas"


def check(manifest, name):
    """Compares with the fields of a custom resource, which the validator of
    Kubernetes' own kinds does not know; see `schemas/from_clients.py`."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.validate(manifest, schema)


def job_set():
    return yaml.safe_load((DEPLOY / "jobset.yaml").read_text())


def job():
    (replicated,) = job_set()["spec"]["replicatedJobs"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": replicated["name"]},
        **replicated["template"],
    }


def test_the_job_set_fits_its_schema():
    check(job_set(), "jobset")
    kubernetes_validate.validate(job(), "1.37.0", strict=True)
    misspelt = job_set()
    misspelt["spec"]["failurePolicy"]["maxRestart"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxRestart"):
        check(misspelt, "jobset")
    mistyped = job_set()
    mistyped["spec"]["replicatedJobs"][0]["replicas"] = "1"
    with pytest.raises(jsonschema.ValidationError, match="integer"):
        check(mistyped, "jobset")
    misspelt = job()
    misspelt["spec"]["template"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="comand"):
        kubernetes_validate.validate(misspelt, "1.37.0", strict=True)


@pytest.mark.parametrize("name", ["jobset", "inference_service"])
def test_a_schema_says_where_it_is_from(name):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert re.match(
        r"Fields of [\w-]+ \d+\.\d+\.\d+ \(Apache-2\.0\), by ",
        schema["$comment"],
    )


def test_kueue_finds_its_queue_by_a_label():
    # Kueue's own name of it; a value is the name of a LocalQueue.
    labels = job_set()["metadata"]["labels"]
    assert set(labels) == {"kueue.x-k8s.io/queue-name"}
    for queue in labels.values():
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", queue)


def test_the_inference_service_fits_its_schema():
    service = yaml.safe_load(KSERVE.read_text())
    check(service, "inference_service")
    misspelt = copy.deepcopy(service)
    misspelt["spec"]["predictor"]["model"]["storageURI"] = "pvc://models/demo"
    with pytest.raises(jsonschema.ValidationError, match="storageURI"):
        check(misspelt, "inference_service")
    lacking = copy.deepcopy(service)
    del lacking["spec"]["predictor"]["model"]["modelFormat"]
    with pytest.raises(jsonschema.ValidationError, match="modelFormat"):
        check(lacking, "inference_service")
    model = service["spec"]["predictor"]["model"]
    # What it has of a container, as of one.
    container = {"name": "model", "args": model["args"]}
    container["resources"] = model["resources"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "model"}}
    pod["spec"] = {"containers": [container]}
    kubernetes_validate.validate(pod, "1.37.0", strict=True)
    deployment = yaml.safe_load(
        (KSERVE.parents[1] / "kubernetes/deployment.yaml").read_text()
    )["spec"]["template"]["spec"]["containers"][0]
    assert set(model["args"]) <= set(deployment["args"])
    assert model["resources"] == deployment["resources"]
    assert model["modelFormat"]["name"] == "tensorflow"
    claim = yaml.safe_load(
        (KSERVE.parents[1] / "kubernetes/volume.yaml").read_text()
    )["metadata"]["name"]
    assert model["storageUri"] == f"pvc://{claim}/demo"


def pods():
    """The command of the JobSet's pods, and the environment of each, as
    kubelet expands it."""
    found = job_set()
    spec = job()["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    field = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    environments = []
    for index in range(spec["completions"]):
        made = {}
        for entry in container["env"]:
            if "valueFrom" in entry:
                where = entry["valueFrom"]["fieldRef"]["fieldPath"]
                assert where == field
                made[entry["name"]] = str(index)
                continue
            made[entry["name"]] = re.sub(
                r"\$\((\w+)\)", lambda m, of=made: of[m[1]], entry["value"]
            )
        environments.append(made)
    name, subdomain = found["metadata"]["name"], found["spec"]["network"]
    hosts = [
        f"{name}-worker-0-{i}.{subdomain['subdomain']}:2222"
        for i in range(len(environments))
    ]
    return container["command"], environments, hosts


def test_each_pod_knows_itself_and_all_others():
    _, environments, hosts = pods()
    for index, environment in enumerate(environments):
        config = yaml.safe_load(environment["TF_CONFIG"])
        assert config == {
            "cluster": {"worker": hosts},
            "task": {"type": "worker", "index": index},
        }
    assert job()["spec"]["parallelism"] == len(environments)
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    assert {p["containerPort"] for p in container["ports"]} == {2222}


def with_python(environment, data_dir, run):
    """With the interpreter of the tests, and small work."""
    folder = str(pathlib.Path(sys.executable).parent)
    path = os.pathsep.join([folder, os.environ["PATH"]])
    data = {"PRESET": "smoke", "DATA": str(data_dir), "RUN": str(run)}
    return {**environment, "PATH": path, **data}


@pytest.mark.slow
def test_the_pods_command_trains_and_continues(data_dir, tmp_path):
    command, environments, hosts = pods()
    for _ in range(2):
        ports = loopback.free_ports(2)
        made = []
        for environment in environments[:2]:
            # Two of the four, here.
            text = environment["TF_CONFIG"]
            for host, port in zip(hosts, ports, strict=False):
                text = text.replace(host, f"127.0.0.1:{port}")
            for host in hosts[2:]:
                text = re.sub(rf',\s*"{host}"', "", text)
            changed = {**environment, "TF_CONFIG": text}
            made.append(with_python(changed, data_dir, tmp_path / "run"))
        results = loopback.ended(loopback.started(command, made))
        assert [code for code, *_ in results] == [0, 0], results
        assert RunDirectory(tmp_path / "run").checkpoint_epochs() == [1, 2]
    assert "continued after epoch 2" in results[0][1]


SRUN = """#!/bin/sh
# As srun does: the words that are its own, then the tasks.
while [ "${1#--}" != "$1" ]; do shift; done
for SLURM_PROCID in 1 0; do
  export SLURM_PROCID
  "$@" &
  tasks="$tasks $!"
done
for task in $tasks; do wait "$task" || code=1; done
exit ${code:-0}
"""


@pytest.mark.slow
def test_the_sbatch_file_trains_with_slurms_variables(data_dir, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "srun").write_text(SRUN)
    (folder / "srun").chmod(0o755)
    (port,) = loopback.free_ports(1)
    slurm = {
        # The port follows from the job.
        "SLURM_JOB_ID": str(port % 20000),
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURMD_NODENAME": "localhost",
    }
    environment = with_python(slurm, data_dir, tmp_path / "run")
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    command = ["bash", str(DEPLOY / "train.sbatch")]
    (ended,) = loopback.ended(loopback.started(command, [environment]))
    assert ended[0] == 0, ended
    assert "on 2 replicas in 2 processes" in ended[1]
    assert RunDirectory(tmp_path / "run").model_file.is_file()


def test_the_sbatch_file_is_a_shell_script():
    path = DEPLOY / "train.sbatch"
    subprocess.run(["bash", "-n", str(path)], check=True)
    options = re.findall(r"^#SBATCH (--[\w-]+)", path.read_text(), re.M)
    assert {"--requeue", "--distribution", "--nodes"} <= set(options)


def test_the_image_has_what_the_project_asks_for():
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()[1:]
    pinned = dict(line.split("==") for line in lines)
    project = tomllib.loads((loopback.ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = [
        *project["project"]["dependencies"],
        *(r for name in ("training", "ray", "slurm") for r in extras[name]),
    ]
    for text in asked:
        need = Requirement(text)
        assert Version(pinned[need.name.replace("_", "-").lower()]) in (
            need.specifier
        )
    docker = (DEPLOY / "Dockerfile").read_text()
    (base,) = re.findall(r"^FROM (\S+)$", docker, re.M)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    for copied in re.findall(r"^COPY (.+) \S+$", docker, re.M):
        assert all((loopback.ROOT / name).exists() for name in copied.split())
    (installed,) = re.findall(r"yoto_tf\[|'\.\[([\w,]+)\]'", docker)
    assert installed == "training,ray,slurm"
    images = job()["spec"]["template"]["spec"]["containers"]
    tag = images[0]["image"].rpartition(":")[2]
    assert tag == project["project"]["version"]
