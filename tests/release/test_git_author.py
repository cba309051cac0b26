"""Who a commit says that it is by."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.candidates import bare_git
from release.transactions import put

from delivery.git.author import DEFAULT, check_author
from training.errors import InputError

ADA, ROBOT = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}, "Release Robot <robot@example.org>"
COMMITTER = {"GIT_COMMITTER_NAME": "Carl", "GIT_COMMITTER_EMAIL": "carl@example.org"}


@pytest.mark.parametrize(
    ("environment", "author", "committer"),
    [
        ({}, DEFAULT, DEFAULT),
        ({"OSTINATO_GIT_AUTHOR": ROBOT}, ROBOT, ROBOT),
        ({"OSTINATO_GIT_AUTHOR": ROBOT, **ADA}, "Ada <ada@example.org>", "Ada <ada@example.org>"),
        ({"OSTINATO_GIT_AUTHOR": ROBOT, **COMMITTER}, ROBOT, "Carl <carl@example.org>"),
    ],
)
def test_the_author_is_gits_own_then_the_setting_then_ostinato(
    environment: dict[str, str], author: str, committer: str, manifests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    put(str(manifests), "a", b"1")
    assert bare_git(manifests, "log", "-1", "--format=%an <%ae>%n%cn <%ce>", "main").splitlines() == [author, committer]


@pytest.mark.parametrize(
    "text", ["Robot", "robot@example.org", "<robot@example.org>", "A <a>", "A <a@b> x", "A\n <a@b>"]
)
def test_an_author_of_another_form_is_refused(text: str, manifests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="give `Name <email>`"):
        check_author(text)
    monkeypatch.setenv("OSTINATO_GIT_AUTHOR", text)
    with pytest.raises(InputError, match="give `Name <email>`"):
        put(str(manifests), "a", b"1")


def test_the_workspaces_setting_reaches_the_commit(manifests: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.ostinato]\ngit_author = "{ROBOT}"\n')
    code = "from pathlib import Path; from pipelines.settings.settings import load_workspace\n"
    code += "from release.transactions import put\n"
    code += "load_workspace(Path('.')); put('served/manifests.git', 'a', b'1')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert bare_git(manifests, "log", "-1", "--format=%an <%ae>", "main") == ROBOT
