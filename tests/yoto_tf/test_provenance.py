"""The commit that a run names is that of this code."""

import subprocess

from yoto_tf import provenance


def test_an_installed_copy_has_no_commit_of_the_repository_around_it(
    tmp_path, monkeypatch
):
    def git(*words):
        name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(
            ["git", *name, *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    folder = tmp_path / ".venv/lib/site-packages/yoto_tf"
    folder.mkdir(parents=True)
    code = folder / "provenance.py"
    code.write_text("")
    (tmp_path / "own.py").write_text("")
    git("init", "--quiet")
    git("add", "own.py")
    git("commit", "--quiet", "-m", "of another project")
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert provenance.git_revision() is None
    # A checkout has its own.
    git("add", "--force", code)
    git("commit", "--quiet", "-m", "of this one")
    assert provenance.git_revision() == git("rev-parse", "HEAD")
    monkeypatch.setenv("PATH", "")
    assert provenance.git_revision() is None
