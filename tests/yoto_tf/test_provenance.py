"""The commit that a run names is that of this code."""

import subprocess
import sys

from git_checkout import git

from yoto_tf import provenance


def test_an_installed_copy_has_no_commit_of_the_repository_around_it(
    tmp_path, monkeypatch
):
    def run(*words):
        return git(tmp_path, *words)

    folder = tmp_path / ".venv/lib/site-packages/yoto_tf"
    folder.mkdir(parents=True)
    code = folder / "provenance.py"
    code.write_text("")
    (tmp_path / "own.py").write_text("")
    run("init", "--quiet")
    run("add", "own.py")
    run("commit", "--quiet", "-m", "of another project")
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert provenance.git_revision() is None
    # A checkout has its own.
    run("add", "--force", code)
    run("commit", "--quiet", "-m", "of this one")
    assert provenance.git_revision() == run("rev-parse", "HEAD")
    monkeypatch.setenv("PATH", "")
    assert provenance.git_revision() is None


def test_the_peak_of_memory_is_the_processs_own():
    # A process that is started by a large one.
    large = bytearray(300 * 2**20)
    large[::4096] = b"x" * len(large[::4096])
    code = "from yoto_tf import provenance as p; {}; print(p.peak_memory_mib())"

    def peak(before):
        return float(
            subprocess.run(
                [sys.executable, "-c", code.format(before)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )

    bare = peak("pass")
    assert bare < 300
    # What is freed again counts.
    filled = peak("b = b'x' * (200 * 2**20); b = 0")
    assert 199 <= filled - bare < 230
