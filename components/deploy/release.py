"""Releases: what is live, what is proposed, and the commits that change it. Git is the only source of truth."""

import re
from dataclasses import dataclass
from typing import Literal

from components.deploy.environments import first_release_files
from components.deploy.manifest import Evidence, LiveModel, manifest_path, parse, render
from components.deploy.repository import LIVE_BRANCH, Repository, Snapshot, open_repository, transact
from components.register.lookup import (
    CANDIDATE,
    CODE_TAG,
    FINGERPRINT_TAG,
    SPEC_TAG,
    VERDICT_DIGEST_TAG,
    VERDICT_TAG,
    ModelVersion,
    registry,
)
from training.errors import GateRefused, InputError, OstinatoError
from training.spec import ModelSpec

ReleaseMode = Literal["direct", "pull-request"]
_MANIFEST = re.compile(r"models/([^/]+)/inferenceservice\.yaml")
_BRANCH = re.compile(r"release/([^/]+)/v([1-9][0-9]*)")


@dataclass(frozen=True)
class Release:
    """What a release command came to."""

    model: str
    version: str
    branch: str
    """The live branch, or the release branch that waits for a reviewer."""
    commit: str
    """The commit that holds the manifest: a new one if `changed`, else the branch's tip that already had it."""
    changed: bool


@dataclass(frozen=True)
class Proposal:
    """A release branch that is not merged."""

    model: str
    version: str
    branch: str
    commit: str


def live(remote: str, name: str) -> LiveModel | None:
    """What git says is live for one model, None if nothing is. Raises InputError for a broken manifest."""
    path = manifest_path(name)
    with open_repository(remote) as repository:
        snapshot = repository.snapshot()
        content = snapshot.read(path).get(path)
    return parse(content, name, snapshot.commit) if content is not None else None


def live_models(remote: str) -> list[LiveModel]:
    """What git says is live, all models, by name. Raises InputError for a broken manifest."""
    return [parse(content, name, commit) for name, (content, commit) in live_manifests(remote).items()]


def live_manifests(remote: str) -> dict[str, tuple[bytes, str]]:
    """Bytes of every model's manifest and the commit they were read from, by model name."""
    with open_repository(remote) as repository:
        snapshot = repository.snapshot()
        files = snapshot.read("models")
    found = {match[1]: content for path, content in files.items() if (match := _MANIFEST.fullmatch(path))}
    return {name: (found[name], snapshot.commit) for name in sorted(found)}


def open_proposals(remote: str) -> list[Proposal]:
    """The release branches whose manifest has not been merged in any way: merge, squash or rebase."""
    with open_repository(remote) as repository:
        tips = repository.fetch(LIVE_BRANCH, "release/*", history=True)
        found = []
        for branch, commit in sorted(tips.items()):
            match = _BRANCH.fullmatch(branch)
            if match and not _merged(repository, tips[LIVE_BRANCH], commit, manifest_path(match[1])):
                found.append(Proposal(match[1], match[2], branch, commit))
    return found


def release(
    spec: ModelSpec,
    tracking_uri: str,
    manifests_remote: str,
    version: str,
    mode: ReleaseMode,
    trailers: dict[str, str] | None = None,
    judged_against: str | None = None,
) -> Release:
    """Put a registered version into the manifests repository: commit it (direct) or push its release branch.

    Everything in the manifest comes from the registry and the spec, so a second call changes nothing.
    judged_against: the champion's version in the verdict, "" for none; unless given it is not compared with what is
    live. Raises GateRefused if the version has no passing verdict, InputError if it does not exist or can't be
    served, OstinatoError if another version is live than it was judged against.
    """
    reader = registry(tracking_uri)
    found = reader.version(spec.registered_name, version)
    if found is None:
        known = ", ".join(one.version for one in reader.versions(spec.registered_name)) or "none"
        raise InputError(f"{spec.registered_name} has no version {version} in the registry; it has {known}")
    _check_verdict(found)
    first = reader.versions(spec.registered_name, digest=found.digest)[0]
    if first.version != version:
        raise InputError(f"version {version} of {found.name} is a copy of version {first.version}; release that one")
    storage_uri = reader.storage_uri(found.name, version)
    return propose_or_commit(spec, manifests_remote, found, storage_uri, mode, trailers or {}, judged_against)


def promote(
    spec: ModelSpec,
    tracking_uri: str,
    manifests_remote: str,
    version: str | None = None,
    mode: ReleaseMode | None = None,
) -> Release:
    """Release a version by hand; without one, the registry's candidate. The mode is the spec's unless given.

    Raises as :func:`release` does, and InputError if there is no candidate.
    """
    chosen = version or registry(tracking_uri).aliases(spec.registered_name).get(CANDIDATE)
    if chosen is None:
        raise InputError(
            f"{spec.registered_name} has no candidate in the registry; `ostinato run {spec.name}` makes one, "
            "or name a version with --version"
        )
    return release(spec, tracking_uri, manifests_remote, chosen, mode or spec.release.mode)


def propose_or_commit(
    spec: ModelSpec,
    manifests_remote: str,
    version: ModelVersion,
    storage_uri: str,
    mode: ReleaseMode,
    trailers: dict[str, str],
    judged_against: str | None = None,
) -> Release:
    """Render the version's manifest on what is live now, and commit it there or push its release branch."""
    path = manifest_path(spec.name)
    release_branch = f"release/{spec.name}/v{version.version}"
    target = LIVE_BRANCH if mode == "direct" else release_branch
    at = {"branch": LIVE_BRANCH, "commit": ""}
    with open_repository(manifests_remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            tips = repository.fetch(
                LIVE_BRANCH, *([] if mode == "direct" else [f"{target}*"]), history=mode != "direct"
            )
            snapshot = Snapshot(repository, tips[LIVE_BRANCH])
            now = snapshot.read(path).get(path)
            _check_rival(now, judged_against, version, spec.name, snapshot.commit)
            content = _render_on(spec, version, storage_uri, now, snapshot.commit)
            if content == now:
                at.update(branch=LIVE_BRANCH, commit=snapshot.commit)
                return None
            proposed = tips.get(target, "")
            if mode == "pull-request" and proposed:
                same = Snapshot(repository, proposed).read(path).get(path) == content
                if same and not _merged(repository, snapshot.commit, proposed, path):
                    at.update(branch=target, commit=proposed)
                    return None
            message = _message(spec.name, version, now is None, trailers)
            first = first_release_files(snapshot, spec.name, spec.serving.namespace)
            commit = repository.commit({path: content, **first}, message, snapshot.commit)
            return commit, target, proposed

        pushed = transact(repository, attempt)
    if pushed:
        return Release(spec.name, version.version, target, pushed, changed=True)
    return Release(spec.name, version.version, at["branch"], at["commit"], changed=False)


def _check_rival(now: bytes | None, judged_against: str | None, version: ModelVersion, name: str, commit: str) -> None:
    """Raises OstinatoError if the version was judged against another one than is live; it may be live itself."""
    running = parse(now, name, commit).version if now is not None else ""
    if judged_against is not None and running not in (judged_against, version.version):
        raise OstinatoError(
            f"version {version.version} of {name} was judged against {_called(judged_against)}, but "
            f"{_called(running)} is live now: another release came between, so nothing was committed. "
            f"Run `ostinato run {name}` again"
        )


def _called(version: str) -> str:
    return f"version {version}" if version else "no champion"


def _render_on(spec: ModelSpec, version: ModelVersion, storage_uri: str, now: bytes | None, commit: str) -> bytes:
    """The manifest for the version, given the bytes that are live now."""
    previous = ""
    if now is not None:
        running = parse(now, spec.name, commit)
        previous = running.previous_version if running.version == version.version else running.version
    tags = version.tags
    evidence = Evidence(
        digest=version.digest,
        data_fingerprint=tags.get(FINGERPRINT_TAG, ""),
        verdict_digest=tags.get(VERDICT_DIGEST_TAG, ""),
        code_version=tags.get(CODE_TAG, ""),
        spec_digest=tags.get(SPEC_TAG, ""),
    )
    return render(spec, version.version, storage_uri, previous, evidence)


def _check_verdict(version: ModelVersion) -> None:
    needed = (FINGERPRINT_TAG, VERDICT_DIGEST_TAG, SPEC_TAG)
    decision = version.tags.get(VERDICT_TAG)
    if not version.digest or decision is None or not all(version.tags.get(tag) for tag in needed):
        raise GateRefused(
            f"version {version.version} of {version.name} has no verdict in the registry, so it may not be released; "
            "versions that `ostinato run` registers have one"
        )
    if decision != "pass":
        raise GateRefused(
            f"the verdict on version {version.version} of {version.name} is {decision!r}; only a pass goes live"
        )


def _message(name: str, version: ModelVersion, first: bool, trailers: dict[str, str]) -> str:
    subject = f"{'Release' if not first else 'First release of'} {name} v{version.version}"
    lines = {
        "Ostinato-Model": name,
        "Ostinato-Version": version.version,
        **trailers,
        "Ostinato-Verdict": version.tags[VERDICT_DIGEST_TAG],
    }
    return f"{subject}\n\n" + "".join(f"{key}: {value}\n" for key, value in lines.items() if value)


def _merged(repository: Repository, main: str, branch: str, path: str) -> bool:
    """Whether the branch's file has come to the live branch since the branch left it; both need history here."""
    blob = _blob(repository, branch, path)
    if not blob or not repository.git("rev-list", "--max-count=1", f"{main}..{branch}").strip():
        return True
    return any(new == blob for _, _, new in _file_history(repository, f"{branch}..{main}", path))


def _blob(repository: Repository, commit: str, path: str) -> str:
    """Object name of a file in a commit, "" if it is not there."""
    listed = repository.git("ls-tree", "--full-tree", commit, "--", path).decode().split()
    return listed[2] if listed else ""


def _file_history(repository: Repository, commits: str, path: str) -> list[tuple[str, str, str]]:
    """(commit, old object, new object) of each change of a file along the live branch, oldest first; absent is 0…"""
    shape = (
        "--first-parent",
        "--diff-merges=first-parent",
        "--reverse",
        "--format=%H",
        "--raw",
        "--no-abbrev",
        "--no-renames",
    )
    out = repository.git("log", *shape, commits, "--", path).decode().split("\n")
    history, commit = [], ""
    for line in out:
        if line.startswith(":"):
            _, _, old, new, _ = line.split("\t")[0].split()
            history.append((commit, old, new))
        elif line:
            commit = line
    return history


def rollback(manifests_remote: str, name: str) -> Release:
    """Revert the commit that first brought in what is live for the model, restricted to its manifest.

    The old bytes come back, so the registry's aliases can follow. Raises InputError if nothing is live, or nothing
    was live before it; OstinatoError if another release of the model lands meanwhile.
    """
    path = manifest_path(name)
    seen: dict[str, str] = {}
    restored: dict[str, str] = {}
    with open_repository(manifests_remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            snapshot = repository.snapshot(history=True)
            blob = _blob(repository, snapshot.commit, path)
            if seen and blob == restored.get("blob"):
                restored["commit"] = snapshot.commit
                return None
            if seen.setdefault("blob", blob) != blob:
                raise OstinatoError(
                    f"another release of {name} landed while rolling back; see `ostinato status {name}`"
                )
            if not blob:
                raise InputError(f"{name} is not live, so there is nothing to roll back; see `ostinato status`")
            culprit, before, _ = next(one for one in _file_history(repository, snapshot.commit, path) if one[2] == blob)
            if not before.strip("0"):
                raise InputError(
                    f"{name} can't be rolled back: what is live came with its first release (commit {culprit[:12]}) "
                    "and nothing was live before it"
                )
            content = repository.blobs({before})[before]
            old = parse(content, name, culprit)
            restored.update(blob=before, version=old.version)
            message = _revert_message(repository, culprit, old)
            return repository.commit({path: content}, message, snapshot.commit), LIVE_BRANCH, snapshot.commit

        pushed = transact(repository, attempt)
    return Release(name, restored["version"], LIVE_BRANCH, pushed or restored["commit"], changed=pushed is not None)


def _revert_message(repository: Repository, culprit: str, old: LiveModel) -> str:
    """The message that `git revert` writes, and the trailers."""
    parents, _, subject = (
        repository.git("show", "--no-patch", "--format=%P%n%s", culprit).decode().strip().partition("\n")
    )
    others = parents.split()
    merge = f", reversing\nchanges made to {others[0]}" if len(others) > 1 else ""
    trailers = f"Ostinato-Model: {old.name}\nOstinato-Version: {old.version}\nOstinato-Verdict: {old.verdict_digest}\n"
    return f'Revert "{subject}"\n\nThis reverts commit {culprit}{merge}.\n\n{trailers}'
