"""A change of the manifests repository is refused unless every version that it makes live was judged and registered."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.candidates import bare_git
from trust.chain import NAME, Chain, flip
from trust.working_copy import MANIFEST, PRODUCTION, Copy

from delivery.connections import Connections
from delivery.releases.release import release
from delivery.trust.change import verify_change
from delivery.trust.keys import VERIFY_KEY
from delivery.trust.other_files import other_file_problem
from training.errors import InputError


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
