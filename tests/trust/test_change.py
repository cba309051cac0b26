"""A change of the manifests repository is refused unless every version that it makes live was judged and registered."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import OSTINATO, ROOT, environment, run_ostinato
from harness.servers import GitServer, git_server
from release.candidates import bare_git
from trust.chain import NAME, Chain, flip, make_chain

from delivery.connections import Connections
from delivery.git.repository import ensure_local_repository
from delivery.registry.lookup import registry
from delivery.releases.environments import commit_promotion
from delivery.releases.release import release
from delivery.trust.change import FileFinding, verify_change
from delivery.trust.keys import VERIFY_KEY
from delivery.trust.other_files import other_file_problem
from training.errors import InputError

__all__ = ["git_server"]

MANIFEST = f"models/{NAME}/inferenceservice.yaml"
PRODUCTION = f"environments/production/{NAME}/inferenceservice.yaml"
Edit = dict[str, bytes | None]


@pytest.fixture(scope="module")
def released(keys: dict[str, Path], empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Versions 1 and 2 were released, 1 is in production, 3 is registered; all are signed."""
    home = tmp_path_factory.mktemp("released")
    shutil.copy(empty_store, home / "mlflow.db")
    (home / "served").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, path in keys.items():
            patch.setenv(name, str(path))
        repository = ensure_local_repository(home / "served" / "manifests.git", ROOT / "manifests")
        made = make_chain(home, f"sqlite:///{home}/mlflow.db", repository)
        for weight in (1, 2, 3):
            made.register(weight)
        for version in ("1", "2"):
            release(made.spec, made.place.connections, version, "direct")
            if version == "1":
                commit_promotion(made.place.remote, NAME)
    yield made


class Copy:
    """A working copy of the manifests repository, as a person has it."""

    def __init__(self, chain: Chain, folder: Path) -> None:
        self.chain, self.folder = chain, folder
        subprocess.run(["git", "clone", "--quiet", str(chain.place.manifests), str(folder)], check=True)

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
        done = subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def commit(self, files: Edit, message: str = "Edit") -> None:
        for path, content in files.items():
            if content is None:
                (self.folder / path).unlink()
            else:
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_bytes(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def verify(self, commits: str = "origin/main..HEAD") -> dict[str, FileFinding]:
        found = verify_change(str(self.folder), commits, self.chain.place.connections)
        return {one.path: one for one in found}


@pytest.fixture
def copy(released: Chain, own_environment: None, tmp_path: Path) -> Copy:
    return Copy(released, tmp_path / "copy")


def rendered(chain: Chain, tmp_path: Path, version: str, percent: int | None = None) -> bytes:
    """The manifest with which a version would be released now."""
    repository = tmp_path / "proposals.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(chain.place.manifests), str(repository)], check=True)
    done = release(
        chain.spec, Connections(chain.place.tracking_uri, str(repository)), version, "pull-request", percent=percent
    )
    return bare_git(repository, "show", f"{done.branch}:{MANIFEST}").encode() + b"\n"


def test_what_ostinato_proposes_and_promotes_is_fine(copy: Copy, released: Chain, tmp_path: Path) -> None:
    copy.commit({MANIFEST: rendered(released, tmp_path, "3"), PRODUCTION: copy.read(MANIFEST)})
    found = copy.verify()
    assert {one.path: one.problems for one in found.values()} == {MANIFEST: (), PRODUCTION: ()}
    assert "version 3, as judged and registered" in found[MANIFEST].detail


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace("model-version: '2'", "model-version: '3'"), "its model digest is sha256:"),
        (lambda text: text.replace("model-version: '2'", "model-version: '9'"), "the registry has no version 9"),
        (
            lambda text: text.replace("storageUri: file:///", "storageUri: file:///evil/"),
            "its storage URI is file:///evil",
        ),
        (lambda text: text.replace("verdict-digest: sha256:", "verdict-digest: sha256:0"), "its verdict_digest is"),
        (lambda text: text.replace("model-digest: sha256:", "model-digest: sha256:0"), "its model digest is sha256:0"),
        (lambda text: text.replace("model-version", "model-versoin"), "can't be used"),
        (lambda text: "- 1\n" + text, "it is not YAML"),
        (
            lambda text: (
                text + "---\nkind: InferenceService\nmetadata: {name: more}\nspec: {storageUri: s3://evil/x}\n"
            ),
            "it also serves s3://evil/x",
        ),
        (
            lambda text: text.replace("  predictor:\n", "  predictor:\n    initContainers: []\n"),
            "it has initContainers",
        ),
    ],
)
def test_a_hand_edit_of_what_is_served_is_refused(copy: Copy, edit: Callable[[str], str], words: str) -> None:
    before = copy.read(MANIFEST).decode()
    after = edit(before)
    assert after != before
    copy.commit({MANIFEST: after.encode()})
    assert words in " ".join(copy.verify()[MANIFEST].problems)


@pytest.mark.parametrize("fact", ["digest", "data-fingerprint", "verdict-digest", "code-version", "spec-digest"])
def test_every_fact_of_a_canary_is_held_against_the_registry(
    copy: Copy, released: Chain, tmp_path: Path, fact: str
) -> None:
    content = rendered(released, tmp_path, "3", percent=10)
    copy.commit({MANIFEST: content})
    assert "version 2, 3, as judged and registered" in copy.verify()[MANIFEST].detail
    edited = re.sub(rf"(canary-{fact}: )(\S+)", r"\1other", content.decode())
    copy.commit({MANIFEST: edited.encode()})
    assert "version 3 of bike-demand: its" in " ".join(copy.verify()[MANIFEST].problems)


def test_a_hand_edit_of_how_it_is_served_is_told_and_fine(copy: Copy) -> None:
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"minReplicas: 1", b"minReplicas: 3")})
    found = copy.verify()[MANIFEST]
    assert found.problems == () and "version 2, as before; what is around it was edited" in found.detail


def test_a_version_that_was_changed_after_its_verdict_is_refused(copy: Copy, released: Chain, tmp_path: Path) -> None:
    copy.commit({MANIFEST: rendered(released, tmp_path, "3")})
    with released.tagged("3", "ostinato.verdict", "reject"):
        assert "decision of verdict.json is pass, the registry has reject" in str(copy.verify()[MANIFEST].problems)
    path = released.artifacts("3") / "verdict.json"
    before = path.read_bytes()
    path.write_bytes(flip(before, 50))
    try:
        assert "verdict.json" in str(copy.verify()[MANIFEST].problems)
    finally:
        path.write_bytes(before)
    assert copy.verify()[MANIFEST].problems == ()


def test_a_revert_and_a_rollback_are_fine_though_the_registry_has_lost_the_version(copy: Copy) -> None:
    copy.git("revert", "--no-edit", copy.git("log", "-1", "--format=%H", "--", MANIFEST))
    found = copy.verify()
    assert found[MANIFEST].problems == () and "a way back" in found[MANIFEST].detail
    empty = f"sqlite:///{copy.folder}/none.db"
    assert not any(one.problems for one in verify_change(str(copy.folder), "origin/main..HEAD", Connections(empty, "")))


def test_production_takes_only_what_was_released(copy: Copy, released: Chain, tmp_path: Path) -> None:
    copy.commit({PRODUCTION: rendered(released, tmp_path, "3")})
    assert "was never this, byte for byte" in copy.verify()[PRODUCTION].problems[0]
    copy.commit({PRODUCTION: copy.read(MANIFEST) + b"\n"})
    assert "was never this, byte for byte" in copy.verify()[PRODUCTION].problems[0]
    copy.commit({PRODUCTION: copy.read(MANIFEST)})
    assert copy.verify()[PRODUCTION].problems == ()


def test_a_patch_beside_the_manifest_that_names_another_model_is_refused(copy: Copy) -> None:
    path = f"environments/production/{NAME}/kustomization.yaml"
    patch = b"patches: [{patch: '[{op: replace, path: /spec/predictor/model/storageUri, value: s3://evil}]'}]\n"
    copy.commit({path: copy.read(path) + patch, f"models/{NAME}/notes.md": b"nothing\n"})
    found = copy.verify()
    assert "another model might be served" in found[path].problems[0]
    assert found[f"models/{NAME}/notes.md"].problems == ()


def test_a_whole_model_may_be_taken_away_and_half_of_one_not(copy: Copy) -> None:
    folders = (f"models/{NAME}", f"environments/staging/{NAME}", f"environments/production/{NAME}")
    copy.git("rm", "-r", "--quiet", *folders)
    copy.git("commit", "--quiet", "--message", "All of it")
    findings = copy.verify()
    assert len(findings) == 5 and {finding.detail for finding in findings.values()} == {"taken away"}
    copy.git("reset", "--quiet", "--hard", "origin/main")
    copy.git("rm", "-r", "--quiet", folders[0])
    copy.git("commit", "--quiet", "--message", "Half of it")
    (problem,) = copy.verify()[MANIFEST].problems
    assert problem.startswith(
        f"{NAME} can't be taken away by half: {folders[2]}/inferenceservice.yaml stays. `ostinato"
    )


@pytest.mark.parametrize(
    ("gone", "refused"),
    [
        ((MANIFEST,), True),
        ((f"models/{NAME}/kustomization.yaml",), True),
        ((PRODUCTION,), True),
        ((PRODUCTION, f"environments/production/{NAME}/kustomization.yaml"), False),
        ((f"environments/staging/{NAME}/kustomization.yaml",), False),
    ],
)
def test_an_environment_may_be_taken_away_by_itself_and_no_part_of_a_folder(
    copy: Copy, gone: tuple[str, ...], refused: bool
) -> None:
    copy.commit(dict.fromkeys(gone))
    assert any(finding.problems for finding in copy.verify().values()) == refused


@pytest.mark.parametrize("path", [f"models/{NAME}/migrate.yaml", f"environments/staging/{NAME}/migrate.yaml"])
@pytest.mark.parametrize(
    "text",
    [
        "kind: Job\nmetadata: {annotations: {argocd.argoproj.io/hook: PreSync}}\n",
        "kind: Job\nmetadata: {annotations: {argocd.argoproj.io/hook-delete-policy: HookSucceeded}}\n",
        "kind: Job\nmetadata: {annotations: {helm.sh/hook: pre-install}}\n",
        "commonAnnotations: {helm.sh/hook: pre-install}\n",
        "patches: [{patch: '[{op: add, path: /metadata/annotations/argocd.argoproj.io~1hook, value: PreSync}]'}]\n",
    ],
)
def test_a_hook_is_refused_where_models_are(copy: Copy, path: str, text: str) -> None:
    copy.commit({path: text.encode(), "examples/job.yaml": text.encode()})
    findings = copy.verify()
    assert "never runs, though its Application is Synced and Healthy" in findings[path].problems[0]
    assert findings["examples/job.yaml"].problems == ()


def test_a_hook_in_the_manifest_itself_is_refused(copy: Copy) -> None:
    job = b"---\nkind: Job\nmetadata: {name: migrate, annotations: {argocd.argoproj.io/hook: Sync}}\n"
    copy.commit({MANIFEST: copy.read(MANIFEST) + job})
    assert "it has argocd.argoproj.io/hook: a hook" in copy.verify()[MANIFEST].problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "patches: [{patch: '[{op: replace, path: /spec/predictor/model/storage\\\\u0055ri, value: s3://evil}]'}]",
        'resources: ["https://example.org/evil"]',
        "resources: [../../../argocd/evil.yaml]",
        "patches:\n  - patch: |\n      kind: InferenceService\n      spec: {predictor: {containers: []}}\n",
        "a: [",
    ],
)
def test_a_kustomization_that_brings_in_something_else_is_refused(copy: Copy, text: str) -> None:
    path = f"environments/staging/{NAME}/kustomization.yaml"
    copy.commit({path: text.encode()})
    assert copy.verify()[path].problems


def test_a_link_and_a_submodule_are_refused_where_models_are(copy: Copy) -> None:
    (copy.folder / "models" / "other").mkdir()
    (copy.folder / "models" / "other" / "kustomization.yaml").symlink_to("../../argocd/kustomization.yaml")
    copy.git("add", "--all")
    copy.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},models/evil")
    copy.git("commit", "--quiet", "--message", "Elsewhere")
    found = copy.verify()
    assert "it is a link" in found["models/other/kustomization.yaml"].problems[0]
    assert "it is a submodule" in found["models/evil"].problems[0]


def test_a_link_and_a_submodule_are_refused_in_a_commit_between_too(copy: Copy) -> None:
    (copy.folder / "notes.md").symlink_to("/etc/hostname")
    copy.git("add", "--all")
    copy.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},models/evil")
    copy.git("commit", "--quiet", "--message", "Elsewhere")
    commit = copy.git("rev-parse", "--short=12", "HEAD")
    assert "it is a link, so" in copy.verify()["notes.md"].problems[0]
    (copy.folder / "notes.md").unlink()
    (copy.folder / "notes.md").write_text("nothing\n")
    copy.git("rm", "--quiet", "--cached", "models/evil")
    copy.git("commit", "--quiet", "--all", "--message", "Back again")
    findings = copy.verify()
    for path in ("notes.md", "models/evil"):
        assert findings[path].problems == (f"it is a link or a submodule in commit {commit}",)


def test_every_file_of_the_seed_may_be_there(copy: Copy) -> None:
    first = copy.git("rev-list", "--max-parents=0", "HEAD")
    copy.git("checkout", "--quiet", "--detach", first)
    everything = copy.git("ls-files").splitlines()
    for path in everything:
        content = (copy.folder / path).read_bytes()
        assert other_file_problem(path, "100644", content) == "", path


def test_the_policy_of_the_base_counts_and_a_wrong_one_is_refused(
    copy: Copy, released: Chain, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rules = b"required_checks: [latency]\nskip: [{check: latency, by: [person@example.org]}]\nrequire_signature: true\n"
    new = rendered(released, tmp_path, "3")
    copy.commit({"policy.yaml": rules})
    assert copy.verify()["policy.yaml"].problems == ()
    copy.commit({MANIFEST: new, "policy.yaml": b"cool_dwn: 1h\n"})
    with pytest.raises(InputError, match=f"require_signature, but nothing says whose; set {VERIFY_KEY}"):
        copy.verify("HEAD~1..HEAD".replace("HEAD~1", copy.git("rev-parse", "HEAD~1")))
    monkeypatch.setenv(VERIFY_KEY, str(keys[VERIFY_KEY]))
    base = copy.git("rev-parse", "HEAD~1")
    found = copy.verify(f"{base}..HEAD")
    assert "unknown key 'cool_dwn'" in found["policy.yaml"].problems[0]
    assert "required_checks: latency: the verdict has no check" in found[MANIFEST].problems[0]
    copy.git("commit", "--amend", "--quiet", "--message", "Release\n\nOstinato-Skip: latency")
    assert copy.verify(f"{base}..HEAD")[MANIFEST].problems == ()
    signature = released.artifacts("3") / "model.sig"
    before = signature.read_bytes()
    signature.write_bytes(flip(before, 700))
    try:
        assert "model.sig" in copy.verify(f"{base}..HEAD")[MANIFEST].problems[0]
    finally:
        signature.write_bytes(before)


def test_commits_are_named_as_git_names_them(copy: Copy) -> None:
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"storageUri: file:", b"storageUri: s3:")})
    (by_hand,) = copy.verify("HEAD~1..HEAD").values()
    assert by_hand.problems
    assert not any(one.problems for one in copy.verify("HEAD~2..HEAD^").values())


@pytest.mark.parametrize("commits", ["main", "--output=x..HEAD", "..HEAD", "nothing..HEAD", f"{'0' * 40}..HEAD"])
def test_commits_that_are_not_there_are_named(copy: Copy, commits: str) -> None:
    with pytest.raises(InputError, match=r"is no change; write BASE\.\.HEAD|is no commit"):
        copy.verify(commits)


def test_a_shallow_checkout_is_refused(released: Chain, own_environment: None, tmp_path: Path) -> None:
    url = f"file://{released.place.manifests}"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", url, str(tmp_path / "shallow")], check=True)
    with pytest.raises(InputError, match="git fetch --unshallow"):
        verify_change(str(tmp_path / "shallow"), "origin/main..HEAD", released.place.connections)


def test_branches_of_a_remote_are_looked_at_without_a_checkout(released: Chain, signing: None) -> None:
    release(released.spec, released.place.connections, "3", "pull-request")
    (found,) = verify_change(released.place.remote, f"main..release/{NAME}/v3", released.place.connections)
    assert found.path == MANIFEST and not found.problems
    bare_git(released.place.manifests, "update-ref", "-d", f"refs/heads/release/{NAME}/v3")


def test_the_command_lists_what_it_refuses_and_exits_with_3(copy: Copy) -> None:
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"model-version: '2'", b"model-version: '9'")})
    uri = copy.chain.place.tracking_uri
    done = run_ostinato(copy.folder, "verify-change", "origin/main..HEAD", OSTINATO_TRACKING_URI=uri)
    assert done.code == 3
    assert f"refused: the change may not be merged:\n  {MANIFEST}: the registry has no version 9" in done.err


def workflow_step(job: str) -> str:
    text = (ROOT / "manifests" / ".github" / "workflows" / "verify-change.yaml").read_text()
    (step,) = yaml.safe_load(text)["jobs"][job]["steps"]
    return step["run"]


def cloud_build_step() -> str:
    (step,) = yaml.safe_load((ROOT / "manifests" / "cloudbuild.yaml").read_text())["steps"]
    return step["script"]


def bash(script: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    own = {"HOME": str(cwd), "GIT_CONFIG_GLOBAL": str(cwd / ".gitconfig"), "PATH": f"{OSTINATO.parent}:/usr/bin:/bin"}
    kept = environment(cwd, **own, **variables)
    kept.pop("OSTINATO_WORKSPACE")
    return subprocess.run(["bash", "-c", script], cwd=cwd, env=kept, capture_output=True, text=True, timeout=120)


@pytest.fixture
def at_the_forge(copy: Copy, git_server: GitServer) -> Iterator[dict[str, str]]:
    """A bad pull request 7 on a server, and what a runner of GitHub's is told."""
    served = git_server.root / "manifests.git"
    shutil.copytree(copy.chain.place.manifests, served)
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"model-version: '2'", b"model-version: '9'")})
    copy.git("push", "--quiet", str(served), "HEAD:refs/pull/7/head")
    git_server.credentials = ("x-access-token", "t0ken")
    yield {
        "GITHUB_SERVER_URL": f"http://127.0.0.1:{git_server.server_port}",
        "GITHUB_REPOSITORY": "manifests",
        "GIT_TOKEN": "t0ken",
        "OSTINATO_TRACKING_URI": copy.chain.place.tracking_uri,
        "BASE": "main",
        "NUMBER": "7",
    }


def test_the_workflow_refuses_a_bad_pull_request_and_reconciles_what_was_merged(
    at_the_forge: dict[str, str], keys: dict[str, Path], tmp_path: Path, released: Chain
) -> None:
    home = tmp_path / "runner"
    home.mkdir()
    key = keys[VERIFY_KEY].read_text()
    refused = bash(workflow_step("verify"), home, VERIFY_KEY=key, **at_the_forge)
    assert refused.returncode == 3, refused.stderr
    assert "the registry has no version 9" in refused.stderr
    merged = bash(workflow_step("reconcile"), home, **at_the_forge)
    assert merged.returncode == 0, merged.stderr
    assert registry(released.place.tracking_uri).aliases(NAME)["champion"] == "2"


def test_the_cloud_build_does_the_same(copy: Copy) -> None:
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"model-version: '2'", b"model-version: '9'")})
    told = {"_TRACKING_URI": copy.chain.place.tracking_uri, "_VERIFY_KEY": "", "_BASE_BRANCH": "main"}
    refused = bash(cloud_build_step(), copy.folder, _PR_NUMBER="7", **told)
    assert refused.returncode == 3, refused.stderr
    assert "the registry has no version 9" in refused.stderr
    merged = bash(cloud_build_step(), copy.folder, **told)
    assert merged.returncode == 0, merged.stderr


def test_the_workflow_may_only_read_and_runs_nobody_elses_action() -> None:
    text = (ROOT / "manifests" / ".github" / "workflows" / "verify-change.yaml").read_text()
    found = yaml.safe_load(text)
    assert found["permissions"] == {"contents": "read"}
    assert "uses:" not in text and "pull_request_target" not in text
    assert not any("${{" in workflow_step(job) for job in found["jobs"])


def test_the_scripts_of_ci_write_no_configuration_of_git_outside_their_repository() -> None:
    for script in (workflow_step("verify"), workflow_step("reconcile"), cloud_build_step()):
        assert "--global" not in script and "--system" not in script
