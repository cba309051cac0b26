"""The git transaction, against real repositories: local ones and git's own server over HTTP."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from harness.candidates import bare_git
from harness.servers import GitServer, free_port
from release.transactions import commits, put, read

from delivery.addresses import redact
from delivery.git.change import Change, commit_change
from delivery.git.errors import LostRace, explain
from delivery.git.repository import LIVE_BRANCH, Snapshot, ensure_local_repository, open_repository
from delivery.git.run import check_remote
from delivery.retry import RetryPolicy
from training.errors import InputError, OstinatoError

FORK = multiprocessing.get_context("fork")
BOUND_S = 120.0


@pytest.fixture(params=["path", "file URL", "http", "http without filters"])
def remote(request: pytest.FixtureRequest, manifests: Path, git_server: GitServer) -> str:
    if request.param == "http without filters":
        bare_git(manifests, "config", "uploadpack.allowFilter", "false")
    return {"path": str(manifests), "file URL": manifests.as_uri()}.get(request.param, git_server.url_of(manifests))


def test_a_file_is_committed_on_top_and_read_back_over_every_kind_of_remote(remote: str, manifests: Path) -> None:
    commit = put(remote, "models/a/inferenceservice.yaml", b"one\n")
    put(remote, "models/b/inferenceservice.yaml", b"two\n")
    files = read(remote, "models", "README.md")
    assert files["models/a/inferenceservice.yaml"] == b"one\n"
    assert files["models/b/inferenceservice.yaml"] == b"two\n"
    assert files["README.md"] == (Path(__file__).parents[2] / "manifests" / "README.md").read_bytes()
    assert commits(manifests) == 3
    assert bare_git(manifests, "rev-parse", f"{LIVE_BRANCH}~1") == commit
    bare_git(manifests, "fsck", "--strict", "--no-dangling")


def test_odd_names_many_files_and_other_peoples_files_survive_a_commit(manifests: Path) -> None:
    odd = {'a "quoted" \\ name': b"1", "folder/ä ö\nü": b"", "README.md/inside": b"2\n", "runtimes": b"a file now"}
    before = read(str(manifests), "argocd")
    with open_repository(str(manifests)) as repository:
        tip = repository.snapshot().commit
        repository.push(repository.commit(odd, "odd\n", tip), LIVE_BRANCH, tip)
    assert read(str(manifests), 'a "quoted" \\ name', "folder", "README.md", "runtimes") == odd
    assert before and read(str(manifests), "argocd") == before
    assert set(bare_git(manifests, "for-each-ref", "--format=%(refname)").split()) == {"refs/heads/main"}
    bare_git(manifests, "fsck", "--strict", "--no-dangling")


def test_which_files_there_are_is_known_without_asking_again(manifests: Path, git_server: GitServer) -> None:
    with open_repository(git_server.url_of(manifests)) as repository:
        snapshot = repository.snapshot()
        git_server.status = 500
        assert {"argocd/project.yaml", "README.md"} <= snapshot.paths("argocd", "README.md", "nothing")


def test_equal_content_makes_no_commit(remote: str, manifests: Path) -> None:
    assert put(remote, "models/a/x.yaml", b"one\n")
    assert put(remote, "models/a/x.yaml", b"one\n") is None
    assert commits(manifests) == 2


def test_a_push_whose_answer_is_lost_lands_once(manifests: Path, git_server: GitServer) -> None:
    git_server.drop_pushes = 1
    put(git_server.url_of(manifests), "models/a/x.yaml", b"one\n")
    assert git_server.drop_pushes == 0
    assert commits(manifests) == 2


def test_the_callers_own_git_variables_do_not_reach_the_transaction(
    manifests: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    put(str(manifests), "a", b"1")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.delenv(name)
    assert commits(manifests) == 2


def _writer(remote: str, path: str, content: bytes) -> None:
    put(remote, path, content)


def _race(remote: str, jobs: list[tuple[str, bytes]]) -> None:
    workers = [FORK.Process(target=_writer, args=(remote, path, content)) for path, content in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(BOUND_S)
    assert [worker.exitcode for worker in workers] == [0] * len(jobs)


def test_six_racing_writers_of_different_files_all_land(manifests: Path, git_server: GitServer) -> None:
    jobs = [(f"models/m{i}/x.yaml", f"{i}\n".encode()) for i in range(6)]
    _race(str(manifests), jobs[:3] + jobs[3:])
    assert read(str(manifests), "models") == dict(jobs)
    assert commits(manifests) == 7
    assert bare_git(manifests, "rev-list", "--merges", LIVE_BRANCH) == ""


def test_three_racing_writers_of_one_file_all_land_in_some_order(manifests: Path) -> None:
    jobs = [("models/m/x.yaml", f"{i}\n".encode()) for i in range(3)]
    _race(str(manifests), jobs)
    assert commits(manifests) == 4
    assert read(str(manifests), "models")["models/m/x.yaml"] in {content for _, content in jobs}


def test_three_racing_writers_of_the_same_bytes_make_one_commit(manifests: Path) -> None:
    _race(str(manifests), [("models/m/x.yaml", b"same\n")] * 3)
    assert commits(manifests) == 2


def test_a_push_on_an_old_state_is_a_lost_race_and_changes_nothing(manifests: Path) -> None:
    with open_repository(str(manifests)) as repository:
        old = repository.snapshot()
        commit = repository.commit({"a": b"1"}, "late\n", old.commit)
        put(str(manifests), "b", b"2")
        now = bare_git(manifests, "rev-parse", LIVE_BRANCH)
        with pytest.raises(LostRace):
            repository.push(commit, LIVE_BRANCH, old.commit)
    assert bare_git(manifests, "rev-parse", LIVE_BRANCH) == now


def test_a_race_that_is_always_lost_ends_with_an_error(manifests: Path) -> None:
    pauses: list[float] = []

    def prepare(snapshot: Snapshot) -> Change:
        put(str(manifests), "b", snapshot.commit.encode())
        return Change("a", {"a": b"1"}, "stubborn\n")

    with pytest.raises(OstinatoError, match="moved 3 times in a row; run again"):
        commit_change(str(manifests), prepare, policy=RetryPolicy(attempts=3, sleep=pauses.append))
    assert commits(manifests) == 4 and len(pauses) == 2


def test_a_hook_that_refuses_is_reported_with_its_words_and_not_tried_again(manifests: Path, tmp_path: Path) -> None:
    hook = manifests / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho x >> {tmp_path}/calls\necho 'only on Tuesdays' >&2\nexit 1\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(OstinatoError, match=r"refused the commit.*only on Tuesdays") as caught:
        put(str(manifests), "a", b"1")
    assert caught.value.exit_code == 1
    assert (tmp_path / "calls").read_text() == "x\n"
    assert commits(manifests) == 1


def test_wrong_or_missing_credentials_are_named_and_right_ones_from_askpass_work(
    manifests: Path, git_server: GitServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    git_server.credentials = ("robot", "s3cret")
    url = git_server.url_of(manifests)
    with pytest.raises(OstinatoError, match="wants credentials"):
        put(url, "a", b"1")
    askpass = tmp_path / "askpass"
    askpass.write_text('#!/bin/sh\ncase "$1" in Username*) echo robot;; *) cat "$(dirname "$0")/token";; esac\n')
    askpass.chmod(0o700)
    monkeypatch.setenv("GIT_ASKPASS", str(askpass))
    (tmp_path / "token").write_text("wrong")
    with pytest.raises(OstinatoError, match="wants credentials") as caught:
        put(url, "a", b"1")
    assert "wrong" not in str(caught.value).replace("wants credentials", "")
    (tmp_path / "token").write_text("s3cret")
    assert put(url, "a", b"1")


def test_a_read_only_remote_can_be_read_and_says_that_it_can_not_be_written(
    manifests: Path, git_server: GitServer
) -> None:
    bare_git(manifests, "config", "http.receivepack", "false")
    assert "README.md" in read(git_server.url_of(manifests), "README.md")
    with pytest.raises(OstinatoError, match="credentials need read and write access"):
        put(git_server.url_of(manifests), "a", b"1")
    assert commits(manifests) == 1


@pytest.mark.parametrize(("status", "words"), [(403, "read and write access"), (404, "not a git"), (503, "be reached")])
def test_a_server_that_answers_with_an_error_is_named(
    manifests: Path, git_server: GitServer, status: int, words: str
) -> None:
    git_server.status = status
    with pytest.raises(OstinatoError, match=words) as caught:
        put(git_server.url_of(manifests), "a", b"1")
    assert git_server.url_of(manifests) in str(caught.value)


def test_a_remote_that_hangs_becomes_an_error_within_the_time_out(
    manifests: Path, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_server.let_go.clear()
    monkeypatch.setenv("OSTINATO_GIT_TIMEOUT", "0.5")
    with pytest.raises(OstinatoError, match=r"did not answer within 0.5 s.*raise OSTINATO_GIT_TIMEOUT"):
        put(git_server.url_of(manifests), "a", b"1")


def test_a_remote_that_is_down_says_so() -> None:
    with pytest.raises(OstinatoError, match="can't be reached"):
        read(f"http://127.0.0.1:{free_port()}/manifests.git", "a")


def test_what_is_no_repository_is_the_users_mistake(tmp_path: Path) -> None:
    for place, words in ((tmp_path, "not a git repository"), (tmp_path / "gone", "does not exist")):
        with pytest.raises(InputError, match=words):
            read(str(place), "a")


def test_an_empty_repository_and_a_missing_branch_say_what_to_push(tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    bare_git(empty, "init", "--bare")
    with pytest.raises(InputError, match="is empty or lacks the branch; push a first commit to its live branch main"):
        read(str(empty), "a")


def test_a_working_copy_with_the_branch_checked_out_is_refused(manifests: Path, tmp_path: Path) -> None:
    bare_git(manifests, "clone", "--quiet", str(manifests), str(tmp_path / "copy"))
    assert "README.md" in read(str(tmp_path / "copy"), "README.md")
    with pytest.raises(InputError, match="give a bare repository"):
        put(str(tmp_path / "copy"), "a", b"1")


@pytest.mark.parametrize(
    "remote", ["", "--upload-pack=touch x", "https://u:secret@host/x", "https://ghp_abc@host/x.git", "a\nb"]
)
def test_a_remote_with_a_secret_or_an_option_in_it_is_refused_before_git_sees_it(remote: str) -> None:
    with pytest.raises(InputError) as caught:
        check_remote(remote)
    assert "secret@" not in str(caught.value) and "ghp_abc" not in str(caught.value)


def test_credentials_in_gits_own_words_are_not_repeated() -> None:
    said = "fatal: unable to access 'https://robot:tok@host/x.git/': Could not resolve host: host"
    assert "tok" not in str(explain("https://robot:tok@host/x.git", ["fetch"], said))
    assert redact("see https://robot:tok@host/x") == "see https://host/x"


@pytest.mark.parametrize("given", ["soon", "0", "-1", "inf", "nan"])
def test_a_time_out_that_is_no_number_of_seconds_is_refused(
    manifests: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("OSTINATO_GIT_TIMEOUT", given)
    with pytest.raises(InputError, match="positive number of seconds"):
        read(str(manifests), "a")


def _ensure(path: Path, seed: Path) -> None:
    ensure_local_repository(path, seed)


def test_racing_first_uses_make_one_whole_repository_and_leave_nothing_else(tmp_path: Path) -> None:
    seed, path = Path(__file__).parents[2] / "manifests", tmp_path / "state" / "manifests.git"
    workers = [FORK.Process(target=_ensure, args=(path, seed)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(BOUND_S)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert os.listdir(path.parent) == ["manifests.git"]
    assert commits(path) == 1
    assert bare_git(path, "config", "uploadpack.allowFilter") == "true"
    assert ensure_local_repository(path, seed) == path
    assert commits(path) == 1


def test_a_missing_seed_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="what the manifests repository starts from"):
        ensure_local_repository(tmp_path / "m.git", tmp_path / "nothing")
    assert os.listdir(tmp_path) == []
