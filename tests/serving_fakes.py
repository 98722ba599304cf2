"""A base path whose versions load without TensorFlow."""

import threading

from google.protobuf import text_format
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded.status import Code
from serving.embedded.status import StatusError

BROKEN = StatusError(Code.DATA_LOSS, "broken")


class FakeVersion:
    """Stands for a loaded SavedModel."""

    def __init__(self, path):
        self.path = path
        self.closed = False

    def close(self):
        self.closed = True


class Disk:
    """A base path, and loads that fail for directories that say so."""

    def __init__(self, base):
        self.base = base
        self.loads = []
        self.go_on = threading.Event()  # for loads that are "slow"
        self.versions = []

    def put(self, name, content=""):
        aside = self.base / f".tmp-{name}"
        aside.mkdir(parents=True)
        (aside / "state").write_text(content)
        aside.rename(self.base / name)

    def load(self, path):
        self.loads.append(path)
        with open(f"{path}/state") as file:
            state = file.read()
        if state.startswith("slow"):
            assert self.go_on.wait(60)
            state = state.removeprefix("slow").strip()
        if state == "bug":
            raise RuntimeError("a bug")
        if state:
            raise BROKEN
        self.versions.append(FakeVersion(path))
        return self.versions[-1]


def config_of(*bases, policy="", labels=""):
    text = "".join(
        f'config {{ name: "{base.name}" base_path: "{base}" '
        f'model_platform: "tensorflow" {policy} {labels} }}'
        for base in bases
    )
    return text_format.Parse(text, model_server_config_pb2.ModelConfigList())


def spec_of(name="m", version=None, label=""):
    spec = model_pb2.ModelSpec(name=name, version_label=label)
    if version is not None:
        spec.version.value = version
    return spec
