"""Which forge a remote is at, with which token, and one clear message for each way in which it can fail."""

import os
from pathlib import Path
from typing import Any

import pytest
from forges.conftest import Desk, Start
from harness.forges.stand_in import TOKEN
from harness.loopback import Fault

from delivery.forges.choose import TOKEN_FILE, check_forge, forge_of
from delivery.forges.forge import ForgeError, ForgeUnavailable
from training.errors import InputError


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith("_TOKEN") or name.startswith("OSTINATO_FORGE"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("remote", "setting", "name"),
    [
        ("https://github.com/acme/manifests.git", "", "GitHub (https://api.github.com)"),
        ("git@github.com:acme/manifests.git", "", "GitHub (https://api.github.com)"),
        ("ssh://git@ssh.github.com:443/acme/manifests", "", "GitHub (https://api.github.com)"),
        ("https://acme.ghe.com/acme/manifests", "", "GitHub (https://api.acme.ghe.com)"),
        ("https://git.acme.example/acme/manifests", "github", "GitHub (https://git.acme.example/api/v3)"),
        ("https://gitlab.com/acme/ml/manifests.git", "", "GitLab (https://gitlab.com/api/v4)"),
        ("ssh://git@git.acme.example:2222/ml/manifests.git", "gitlab", "GitLab (https://git.acme.example/api/v4)"),
        ("https://codeberg.org/acme/manifests.git", "", "Gitea (https://codeberg.org/api/v1)"),
        ("http://127.0.0.1:3000/acme/manifests", "gitea", "Gitea (http://127.0.0.1:3000/api/v1)"),
        (
            "git@forge.example:acme/m.git",
            "gitea=https://forge.example/git/",
            "Gitea (https://forge.example/git/api/v1)",
        ),
        ("https://x.example/acme/m.git", "github=https://api.acme.ghe.com", "GitHub (https://api.acme.ghe.com)"),
    ],
)
def test_the_forge_is_chosen_from_the_host_or_the_setting(remote: str, setting: str, name: str) -> None:
    found = forge_of(remote, setting)
    assert found and found.name == name and not found.has_token


@pytest.mark.parametrize(
    ("remote", "setting"),
    [
        ("/srv/manifests.git", ""),
        ("file:///srv/manifests.git", ""),
        ("https://git.acme.example/acme/manifests", ""),
        ("https://github.com.evil.example/acme/manifests", ""),
        ("git@github.com:acme/manifests.git", "none"),
    ],
)
def test_there_is_no_forge_at_a_path_or_an_unknown_host_or_by_setting(remote: str, setting: str) -> None:
    assert forge_of(remote, setting) is None


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("githab", "forge is 'githab'; give one of github, gitlab, gitea, none"),
        ("gitea=", "give the forge's address, such as gitea=https://gitea.example.org"),
        ("gitea=ftp://x", "give the forge's address"),
        ("none=https://x", "give the forge's address"),
        ("gitlab=https://bob:glpat-1@x", "with a user or token in it; give the token in OSTINATO_FORGE_TOKEN"),
    ],
)
def test_a_wrong_setting_is_named_with_the_fix(setting: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        check_forge(setting)
    assert said in str(caught.value) and "glpat" not in str(caught.value)


@pytest.mark.parametrize(
    ("remote", "setting", "said"),
    [
        ("/srv/manifests.git", "gitea", "is a path, which no forge has"),
        ("https://github.com/manifests.git", "", "names no repository that github has; its path is OWNER/NAME"),
        ("https://github.com/a/../b", "", "names no repository"),
    ],
)
def test_a_remote_that_is_no_repository_of_the_forge_is_named(remote: str, setting: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        forge_of(remote, setting)


def test_tokens_come_from_the_environment_or_a_file_and_broken_ones_are_not_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Start
) -> None:
    remote = "https://gitlab.com/acme/manifests"
    for name in ("GITLAB_TOKEN", TOKEN_FILE, "OSTINATO_FORGE_TOKEN"):
        monkeypatch.delenv("OSTINATO_FORGE_TOKEN", raising=False)
        (tmp_path / "token").write_text("file-token\n")
        monkeypatch.setenv(name, str(tmp_path / "token") if name == TOKEN_FILE else "a-token")
        found = forge_of(remote)
        assert found and found.has_token and "token" not in repr(found)
    monkeypatch.delenv("OSTINATO_FORGE_TOKEN")
    (tmp_path / "token").write_text("two\nlines")
    with pytest.raises(InputError, match=f"{TOKEN_FILE}.*holds no token"):
        forge_of(remote)
    (tmp_path / "token").unlink()
    with pytest.raises(InputError, match=f"{TOKEN_FILE} is .* which can't be read"):
        forge_of(remote)


def failing(desk: Desk, fault: Fault | None = None) -> str:
    """What is said when the proposals are asked for."""
    desk.forge.faults = [fault] if fault else []
    forge = forge_of(desk.place.remote, desk.forge.setting)
    assert forge
    with pytest.raises(ForgeError) as caught:
        forge.proposals("open")
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("GET", "pulls", 403), "does not allow this with the token of OSTINATO_FORGE_TOKEN; it needs"),
        (Fault("GET", "pulls", 404), "does not know fleet/manifests, or not for the token of OSTINATO_FORGE_TOKEN"),
        (Fault("GET", "pulls", 422), "refuses what it was sent (HTTP 422"),
        (
            Fault("GET", "pulls", 200, body=b"<html>Log in</html>"),
            "and no JSON; is the setting `forge` the forge's own",
        ),
        (Fault("GET", "pulls", 200, body=b'{"a": 1}'), "with something else than a list"),
        (Fault("GET", "pulls", 200, body=b'[{"number": "x"}]'), "in another form than its API has: number"),
        (
            Fault("GET", "pulls", 301, {"Location": "https://elsewhere"}),
            "has moved fleet/manifests to https://elsewhere",
        ),
        (Fault("GET", "pulls", 429, {"Retry-After": "3600"}), "limits how often it is asked, and asks to wait 3600 s"),
        (Fault("GET", "pulls", 403, body=b'{"message": "API rate limit exceeded"}', times=3), "limits how often"),
        (Fault("GET", "pulls", 503, {"Retry-After": "0"}, times=3), "has trouble of its own (HTTP 503"),
        (Fault("GET", "pulls", 400, body=b'{"message": "' + TOKEN.encode() + b'"}'), "***"),
        (Fault("GET", "pulls", times=3), "did not answer GET /repos/fleet/manifests/pulls"),
    ],
)
def test_each_way_to_fail_has_one_clear_message(github: Desk, monkeypatch: Any, fault: Fault, said: str) -> None:
    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
    assert said in failing(github, fault)


def test_a_forge_that_asks_to_wait_a_little_is_waited_for(github: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
    github.forge.faults = [Fault("GET", "pulls", 429, {"Retry-After": "0"}, times=2)]
    forge = forge_of(github.place.remote, github.forge.setting)
    assert forge and forge.proposals("open") == [] and github.forge.faults == []


def test_without_a_token_it_is_said_how_to_give_one(github: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSTINATO_FORGE_TOKEN")
    said = failing(github)
    assert "wants a token: set OSTINATO_FORGE_TOKEN, OSTINATO_FORGE_TOKEN_FILE or GITHUB_TOKEN, or forge = none" in said


def test_a_netrc_of_the_user_does_not_replace_the_token(
    github: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password another\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
    forge = forge_of(github.place.remote, github.forge.setting)
    assert forge and forge.proposals("open") == []


def test_a_forge_that_is_away_is_named(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
    forge = forge_of(place.remote, "gitea=http://127.0.0.1:1")
    assert forge
    with pytest.raises(ForgeUnavailable, match=r"Gitea \(http://127\.0\.0\.1:1/api/v1\) did not answer GET"):
        forge.proposals("open")


def test_more_than_a_page_is_read_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.forges.stand_in import Pull

    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
    desk.forge.pulls = [Pull(number, f"release/m/v{number}", "main", "", "") for number in range(1, 131)]
    forge = forge_of(desk.place.remote, desk.forge.setting)
    assert forge and [one.number for one in forge.proposals("open")] == list(range(130, 0, -1))
    assert [one.number for one in forge.of_branch("release/m/v7")] == [7]


def test_choosing_a_forge_does_not_import_what_asks_it() -> None:
    import subprocess
    import sys

    code = "import sys, delivery.forges.choose as c; c.forge_of('git@github.com:a/b.git'); "
    code += "assert 'requests' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
