"""New versions appear whole or not at all, whatever happens on the way."""

import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest
from alarms import X
from alarms import alarms

from export import publish
from yoto_tf.command_line import sigterm_as_exit
from yoto_tf.contract import unfinished
from yoto_tf.errors import InputError
from yoto_tf.method import exporting

ROOT = pathlib.Path(__file__).parents[2]


def make(base, text="new"):
    with publish.unfinished(base) as folder:
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_text(text)
        (folder / "saved_model.pb").write_text(text)
        return publish.publish(folder, base)


def names(base):
    return sorted(p.name for p in base.iterdir())


def test_versions_are_numbered(tmp_path):
    base = tmp_path / "models" / "m"
    assert make(base, "a") == base / "1"
    assert make(base, "b") == base / "2"
    (base / "00000007").mkdir()
    (base / "notes").mkdir()
    (base / "9.old").mkdir()
    assert make(base, "c") == base / "8"
    assert (base / "1" / "saved_model.pb").read_text() == "a"
    assert names(base) == ["00000007", "1", "2", "8", "9.old", "notes"]


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("+5", "6"),
        (" 7 ", "8"),
        ("-4", "1"),
        ("9223372036854775808", "1"),
        ("9223372036854775806", "9223372036854775807"),
    ],
)
def test_a_version_is_what_the_server_takes_for_one(tmp_path, name, version):
    (tmp_path / name).mkdir()
    assert make(tmp_path).name == version


def test_above_the_highest_version_there_is_none(tmp_path):
    highest = tmp_path / "9223372036854775807"
    highest.mkdir()
    with pytest.raises(InputError, match=f"higher.*received: {highest}, the"):
        make(tmp_path)
    assert names(tmp_path) == [highest.name]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "m", pathlib.Path("/proc/nope/m")):
        with pytest.raises(InputError, match=f"can be made.*: {folder} [(]No"):
            make(folder)


def test_a_failure_leaves_nothing(tmp_path):
    make(tmp_path)

    def fail():
        with publish.unfinished(tmp_path) as folder:
            (folder / "saved_model.pb").write_text("half")
            assert folder.parent == tmp_path
            assert not folder.name[0].isdigit()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == ["1"]


@pytest.mark.parametrize("step", ["os.fsync", "os.rename"])
def test_a_full_disk_leaves_the_published_versions(tmp_path, step, monkeypatch):
    make(tmp_path, "old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"export.publish.{step}", full)
    with pytest.raises(OSError, match="No space left"):
        make(tmp_path)
    assert names(tmp_path) == ["1"]
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "old"


def test_a_number_taken_meanwhile_is_left_alone(tmp_path, monkeypatch):
    next_version, calls = publish._next, []

    def overtaken(base):
        found = next_version(base)
        calls.append(found)
        if len(calls) == 2:  # the first is before the work
            (base / "1").mkdir()
            (base / "1" / "saved_model.pb").write_text("other")
        return found

    monkeypatch.setattr(publish, "_next", overtaken)
    assert make(tmp_path) == tmp_path / "2"
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "other"


KILL = """
    import os, pathlib, signal, sys
    from export import publish
    base, point = pathlib.Path(sys.argv[1]), sys.argv[2]

    def kill(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    if point == "written through":
        os.fsync = kill
    if point == "renamed":
        os.rename = kill
    with publish.unfinished(base) as folder:
        if point == "begun":
            kill()
        (folder / "saved_model.pb").write_text("killed")
        if point == "written":
            kill()
        publish.publish(folder, base)
        kill()
"""
POINTS = {
    "begun": False,
    "written": False,
    "written through": False,
    "renamed": False,
    "published": True,
}


def run_code(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
    )


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_exporter_leaves_the_published_versions(
    tmp_path, point, monkeypatch
):
    make(tmp_path, "old")
    killed = run_code(KILL, tmp_path, point)
    assert killed.wait(60) == -signal.SIGKILL
    versions = [n for n in names(tmp_path) if n.isdigit()]
    assert versions == (["1", "2"] if POINTS[point] else ["1"])
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "old"
    # The next exporter clears what the dead one left.
    monkeypatch.setattr(unfinished, "_OLD_SECONDS", -1)
    make(tmp_path)
    assert all(n.isdigit() for n in names(tmp_path))


def test_the_folder_of_a_living_exporter_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "_OLD_SECONDS", -1)
    with publish.unfinished(tmp_path) as folder:
        assert make(tmp_path) == tmp_path / "1"
        assert folder.is_dir()


def test_the_version_that_a_model_writes_itself_stays(tmp_path, monkeypatch):
    """`model.export` beside `export_model`: one way to be in work."""
    monkeypatch.setattr(unfinished, "_OLD_SECONDS", -1)
    compare = exporting.verification.compare

    def meanwhile(*arguments):
        assert make(tmp_path) == tmp_path / "1"
        return compare(*arguments)

    monkeypatch.setattr(exporting.verification, "compare", meanwhile)
    alarms().export(tmp_path / "7", example=X[:5])
    assert (tmp_path / "7" / "saved_model.pb").is_file()
    assert names(tmp_path) == ["1", "7"]


EXPORT_FIVE = """
    import pathlib, sys
    from export import publish
    base, text = pathlib.Path(sys.argv[1]), sys.argv[2]
    for i in range(5):
        with publish.unfinished(base) as folder:
            for name in ("a", "b", "saved_model.pb"):
                (folder / name).write_text(f"{text} {i}")
            publish.publish(folder, base)
"""


def test_exporters_at_once_get_numbers_of_their_own(tmp_path):
    exporters = [run_code(EXPORT_FIVE, tmp_path, n) for n in range(4)]
    assert [e.wait(60) for e in exporters] == [0] * 4
    assert names(tmp_path) == sorted(str(n) for n in range(1, 21))
    contents = []
    for version in tmp_path.iterdir():
        texts = {p.read_text() for p in version.iterdir()}
        assert len(texts) == 1
        contents += texts
    assert len(set(contents)) == 20


def test_a_version_or_a_file_is_no_model_folder(tmp_path):
    version = make(tmp_path)
    with pytest.raises(InputError, match=r"is a version; did you mean .*\?"):
        make(version)
    with pytest.raises(InputError, match="a file"):
        make(version / "saved_model.pb")
    assert names(version) == ["saved_model.pb", "variables"]


def test_a_container_that_is_stopped_leaves_nothing_unfinished(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def export():
        with sigterm_as_exit(), publish.unfinished(tmp_path / "m") as folder:
            (folder / "saved_model.pb").write_text("half")
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        export()
    assert stopped.value.code == 143
    assert names(tmp_path / "m") == []
    assert signal.getsignal(signal.SIGTERM) == before
