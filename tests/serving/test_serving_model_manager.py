"""Versions, policies, labels and reloads, with loads that do nothing."""

import threading
import time

import pytest
from serving_fakes import BROKEN
from serving_fakes import Disk
from serving_fakes import config_of
from serving_fakes import spec_of
from waiting import eventually

from serving.embedded.options import ServerOptions
from serving.embedded.status import StatusError
from serving.embedded.versions import source
from serving.embedded.versions.manager import ModelManager
from serving.embedded.versions.table import State


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "m").mkdir()
    return Disk(tmp_path / "m")


@pytest.fixture
def start():
    managers = []

    def starter(disk, config=None, **options):
        options.setdefault("file_system_poll_wait_seconds", 0.01)
        options.setdefault("max_num_load_retries", 0)
        manager = ModelManager(disk.load, ServerOptions(**options))
        managers.append(manager)
        manager.reload(config or config_of(disk.base))
        manager.start()
        return manager

    yield starter
    for manager in managers:
        manager.stop(10)


def states(manager, name="m"):
    try:
        found = manager.table.states(spec_of(name))
    except StatusError:
        return {}
    return {s.version: State.Name(s.state) for s in found}


def latest(manager, name="m"):
    with manager.table.use(spec_of(name)) as servable:
        return servable.version


def test_a_new_version_takes_over_and_the_old_one_goes(disk, start):
    disk.put("1")
    manager = start(disk)
    manager.wait_until_available({"m"})
    assert latest(manager) == 1
    disk.put("2")
    eventually(lambda: states(manager) == {2: "AVAILABLE", 1: "END"})
    assert latest(manager) == 2
    assert disk.versions[0].closed
    assert not disk.versions[1].closed


def test_the_old_version_serves_while_the_new_one_fails(disk, start):
    disk.put("1")
    manager = start(
        disk, max_num_load_retries=2, load_retry_interval_micros=20_000
    )
    manager.wait_until_available({"m"})
    disk.put("2", "broken")
    eventually(lambda: states(manager).get(2) == "END")
    assert disk.loads.count(str(disk.base / "2")) == 3
    assert states(manager) == {2: "END", 1: "AVAILABLE"}
    (failed, _) = manager.table.states(spec_of())
    assert str(failed.error) == str(BROKEN)
    # Not tried again ...
    tried = len(disk.loads)
    time.sleep(0.05)
    assert len(disk.loads) == tried
    assert latest(manager) == 1
    # ... until it has been gone and comes back.
    (disk.base / "2").rename(disk.base / "gone")
    eventually(lambda: not manager.table.states(spec_of())[0].aspired)
    disk.put("2")
    eventually(lambda: states(manager) == {2: "AVAILABLE", 1: "END"})


def test_a_bug_in_a_load_is_a_failed_load(disk, start):
    disk.put("1", "bug")
    manager = start(disk)
    with pytest.raises(StatusError, match="a bug"):
        manager.wait_until_available({"m"})


def test_a_bug_in_a_poll_is_a_failed_poll(disk, start, monkeypatch, caplog):
    disk.put("1")
    manager = start(disk)
    manager.wait_until_available({"m"})
    with monkeypatch.context() as patch:
        patch.setattr(source, "poll", lambda _: 1 / 0)
        eventually(lambda: "ZeroDivisionError" in caplog.text)
    disk.put("2")
    eventually(lambda: latest(manager) == 2)


def test_a_first_load_that_fails_is_reported(disk, start):
    disk.put("1", "broken")
    manager = start(disk)
    with pytest.raises(StatusError) as caught:
        manager.wait_until_available({"m"})
    assert caught.value.message == (
        "1 servable(s) did not become available: {{{name: m version: 1} due "
        "to error: DATA_LOSS: broken}}"
    )


def test_requests_hold_a_version_that_goes(disk, start):
    disk.put("1")
    manager = start(disk)
    manager.wait_until_available({"m"})
    with manager.table.use(spec_of()) as servable:
        disk.put("2")
        eventually(lambda: states(manager).get(1) == "UNLOADING")
        assert latest(manager) == 2
        time.sleep(0.03)
        assert not disk.versions[0].closed
        assert servable.version == 1
    eventually(lambda: states(manager)[1] == "END")
    assert disk.versions[0].closed


def test_a_missing_base_path_changes_nothing_for_any_model(
    disk, start, tmp_path, caplog
):
    disk.put("1")
    other = Disk(tmp_path / "other")
    other.put("1")
    manager = start(disk, config_of(disk.base, other.base))
    manager.wait_until_available({"m", "other"})
    other.base.rename(tmp_path / "away")
    disk.put("2")
    eventually(lambda: "Could not find base path" in caplog.text)
    time.sleep(0.03)
    assert states(manager) == {1: "AVAILABLE"}
    assert states(manager, "other") == {1: "AVAILABLE"}
    assert caplog.text.count("Could not find base path") == 1
    (tmp_path / "away").rename(other.base)
    eventually(lambda: states(manager).get(2) == "AVAILABLE")


def test_a_base_path_without_versions_unloads(disk, start, caplog):
    disk.put("1")
    manager = start(disk)
    manager.wait_until_available({"m"})
    (disk.base / "1").rename(disk.base / "away")
    eventually(lambda: states(manager) == {1: "END"})
    assert "No versions of servable m found" in caplog.text
    with pytest.raises(StatusError, match=r"request: Latest\(m\)"):
        latest(manager)


def test_poll_once_and_never(disk, start):
    disk.put("1")
    once = start(disk, file_system_poll_wait_seconds=0)
    once.wait_until_available({"m"})
    disk.put("2")
    time.sleep(0.05)
    assert states(once) == {1: "AVAILABLE"}
    never = start(disk, file_system_poll_wait_seconds=-1)
    time.sleep(0.05)
    assert states(never) == {}


def test_a_version_that_is_wanted_again_while_it_goes_is_loaded(disk, start):
    disk.put("1")
    manager = start(disk, file_system_poll_wait_seconds=0)
    manager.wait_until_available({"m"})
    with manager.table.use(spec_of("m")):
        manager.reload(config_of())
        eventually(lambda: states(manager) == {1: "UNLOADING"})
        manager.reload(config_of(disk.base))
        time.sleep(0.05)
    # No poll comes by itself.
    eventually(lambda: states(manager) == {1: "AVAILABLE"})


def test_a_load_that_runs_does_not_hold_the_end_up(disk, start):
    disk.put("1", "slow")
    manager = start(disk)
    eventually(lambda: disk.loads)
    started = time.monotonic()
    manager.stop(0.1)
    assert time.monotonic() - started < 25
    assert not manager.is_idle
    disk.go_on.set()
    eventually(lambda: manager.is_idle)


def test_lookups_that_fail(disk, start):
    disk.put("1")
    manager = start(disk)
    manager.wait_until_available({"m"})
    use = manager.table.use
    for spec, code, message in [
        (spec_of(""), 3, "ModelSpec has no name specified."),
        (spec_of("x"), 5, "Servable not found for request: Latest(x)"),
        (
            spec_of(version=9),
            5,
            "Servable not found for request: Specific(m, 9)",
        ),
        (spec_of(label="l"), 3, "Unrecognized servable version label: l"),
    ]:
        with pytest.raises(StatusError) as caught, use(spec):
            pass
        assert (caught.value.code, caught.value.message) == (code, message)


def test_states_that_are_not_there(disk, start):
    disk.put("1")
    manager = start(disk)
    manager.wait_until_available({"m"})
    with pytest.raises(
        StatusError, match="^NOT_FOUND: Could not find any versions of model x"
    ):
        manager.table.states(spec_of("x"))
    with pytest.raises(
        StatusError, match="^NOT_FOUND: Could not find version 9 of model m"
    ):
        manager.table.states(spec_of(version=9))


def test_labels(disk, start):
    disk.put("1")
    disk.put("2")
    every = "model_version_policy { all {} }"
    label = 'version_labels { key: "old" value: 1 }'
    manager = start(disk, config_of(disk.base, policy=every))
    manager.wait_until_available({"m"})
    eventually(lambda: len(disk.versions) == 2)
    eventually(lambda: set(states(manager).values()) == {"AVAILABLE"})
    manager.reload(config_of(disk.base, policy=every, labels=label))
    with manager.table.use(spec_of(label="old")) as servable:
        assert servable.version == 1
    with pytest.raises(StatusError, match="FAILED_PRECONDITION"):
        manager.reload(
            config_of(disk.base, labels=label.replace("value: 1", "value: 7"))
        )
    # A refused configuration changes nothing.
    with manager.table.use(spec_of(label="old")) as servable:
        assert servable.version == 1


def test_a_reload_replaces_the_models(disk, start, tmp_path):
    disk.put("1")
    other = Disk(tmp_path / "other")
    other.put("5")
    manager = start(disk)
    manager.wait_until_available({"m"})
    added = manager.reload(config_of(other.base))
    assert added == {"other"}
    manager.wait_until_available(added)
    eventually(lambda: states(manager) == {1: "END"})
    assert latest(manager, "other") == 5
    # And back again, though this version has ended before.
    manager.wait_until_available(manager.reload(config_of(disk.base)))
    assert latest(manager) == 1


def test_waiting_can_be_given_up(disk, start):
    manager = start(disk)
    with pytest.raises(StatusError, match="Gave up waiting for models: m"):
        manager.wait_until_available({"m"}, lambda: False)


def test_a_slow_load_hides_no_version(disk, start, tmp_path, caplog):
    """Versions come, go and are told of while one is being loaded."""
    other = Disk(tmp_path / "other")
    disk.put("1")
    other.put("1")
    manager = start(disk, config_of(disk.base, other.base))
    manager.wait_until_available({"m", "other"})
    disk.put("2", "slow")
    eventually(lambda: states(manager) == {2: "LOADING", 1: "AVAILABLE"})
    other.put("7")
    disk.put("3")
    eventually(lambda: states(manager, "other").get(7) == "START")
    eventually(lambda: states(manager).get(3) == "START")
    (other.base / "7").rename(other.base / "gone")
    eventually(lambda: states(manager, "other").get(7) == "END")
    (other.base / "gone").rename(other.base / "8")
    other.base.rename(tmp_path / "away")
    eventually(lambda: "Could not find base path" in caplog.text)
    (tmp_path / "away").rename(other.base)
    assert states(manager)[2] == "LOADING"
    assert latest(manager) == 1
    disk.go_on.set()
    eventually(lambda: states(manager) == {3: "AVAILABLE", 2: "END", 1: "END"})
    eventually(lambda: latest(manager, "other") == 8)


@pytest.mark.parametrize("ending", ["", " broken"])
def test_a_version_that_goes_while_it_is_loaded_ends(disk, start, ending):
    disk.put("1")
    manager = start(
        disk, max_num_load_retries=5, load_retry_interval_micros=10_000
    )
    manager.wait_until_available({"m"})
    disk.put("2", "slow" + ending)
    eventually(lambda: states(manager).get(2) == "LOADING")
    (disk.base / "2").rename(disk.base / "gone")
    eventually(lambda: not manager.table.states(spec_of())[0].aspired)
    assert states(manager) == {2: "LOADING", 1: "AVAILABLE"}
    disk.go_on.set()
    eventually(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})
    assert disk.loads.count(str(disk.base / "2")) == 1
    assert latest(manager) == 1
    # It comes back while it is loaded: it stays.
    disk.go_on.clear()
    disk.put("3", "slow")
    eventually(lambda: states(manager).get(3) == "LOADING")
    (disk.base / "3").rename(disk.base / "gone 3")
    eventually(lambda: not manager.table.states(spec_of())[0].aspired)
    (disk.base / "gone 3").rename(disk.base / "3")
    eventually(lambda: manager.table.states(spec_of())[0].aspired)
    disk.go_on.set()
    eventually(lambda: states(manager) == {3: "AVAILABLE", 2: "END", 1: "END"})


@pytest.mark.slow
def test_requests_and_new_versions_side_by_side(disk, start):
    disk.put("1")
    manager = start(disk)
    manager.wait_until_available({"m"})
    faults = []
    done = threading.Event()

    def ask():
        while not done.is_set():
            try:
                with manager.table.use(spec_of()) as servable:
                    if servable.loaded.closed:
                        faults.append("closed under a request")
            except StatusError as error:
                faults.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 8):
        disk.put(str(number))
        eventually(lambda n=number: latest(manager) == n)
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
