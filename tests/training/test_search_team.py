"""Workers of a search that go away."""

import types

import pytest

from training.executors.base import Lost
from training.search.team import Team
from yoto_tf.errors import InputError


class Executor:
    """Workers that are lost, but for the second, which goes on."""

    retries = 0

    def __init__(self, answer):
        self.answer, self.submitted, self.left = answer, [], []

    def submit(self, function, threads, work, argv, environment, *rest):
        name = environment["KERASTUNER_TUNER_ID"]
        self.submitted.append(name)
        return len(self.submitted), name

    def finished(self, handles, seconds):
        return [h for h in handles if h[1] == "worker0"]

    def outcome(self, handle):
        return self.answer()

    def __exit__(self, *error):
        self.left.append(error)


def lost():
    raise Lost("its process ended with exit code -9")


def begun_team(folder, kind, answer, said):
    search = folder / "search.json"
    search.touch()
    directory = types.SimpleNamespace(path=folder, search_file=search)
    given = types.SimpleNamespace(
        executor=kind, workers=2, cpus=1, ray_address=None, slurm=()
    )
    team = Team(given, ["cifar10"], directory, said.append)
    team.executor = Executor(answer)
    return team


@pytest.mark.parametrize(
    ("answer", "begun", "reason"),
    [
        (lost, 2, "its process ended with exit code -9"),
        (lambda: "ended with code 2; see x", 1, "ended with code 2; see x"),
        (lambda: {}["no"], 1, "KeyError: 'no'"),
    ],
)
def test_a_search_ends_with_a_worker_that_is_lost_for_good(
    tmp_path, answer, begun, reason
):
    said = []
    team = begun_team(tmp_path, "local", answer, said)
    team._supervise()
    # Lost ones are begun again, here once; those that fail are not.
    assert team.executor.submitted.count("worker0") == begun
    assert team.executor.submitted.count("worker1") == 1
    # The other one does not outlive the search.
    assert len(team.executor.left) == 1
    assert said == [
        "expected workers that train until the search ends, received: "
        f"worker0: {reason}; --resume goes on"
    ]


def test_a_search_ends_where_no_worker_can_be_begun(tmp_path):
    said = []
    team = begun_team(tmp_path, "slurm", lost, said)

    def refuse(*arguments):
        raise InputError("expected a job that Slurm takes, received: no")

    team.executor.submit = refuse
    team._supervise()
    assert len(team.executor.left) == 1
    assert "expected a job that Slurm takes, received: no" in said[0]
