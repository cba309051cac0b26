"""A change of the manifests repository, looked at before it is merged: every version that it makes live must be one
that was judged, registered and, where that is asked for, signed. A way back is always fine."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from delivery.connections import Connections
from delivery.git.history import blob_of, file_history, first_releases
from delivery.git.repository import Repository, Snapshot, open_repository
from delivery.git.run import git, local_path
from delivery.kserve.manifest import Manifest, ServedVersion, manifest_path
from delivery.kserve.parse import parse
from delivery.registry.lookup import registry
from delivery.trust.manifest_check import check_verifier, contents, foreign_parts, served_problems
from delivery.trust.other_files import other_file_problem
from delivery.trust.policy import POLICY_FILE, Policy, parse_policy
from delivery.trust.removals import removal_problem
from delivery.trust.rules import SKIP, Request, broken_rules
from training.errors import InputError, OstinatoError

_MANIFEST = re.compile(r"models/([^/]+)/inferenceservice\.yaml")
_PRODUCTION = re.compile(r"environments/production/([^/]+)/inferenceservice\.yaml")
LINK, SUBMODULE = "120000", "160000"
"""Modes of git."""


@dataclass(frozen=True)
class FileFinding:
    """One file of the change, and what is wrong with it."""

    path: str
    problems: tuple[str, ...]
    detail: str
    """What makes it fine, "" where it is not."""


@dataclass(frozen=True)
class ManifestsDiff:
    """Two commits of a manifests repository, with its history."""

    repository: Repository
    base: str
    """Where the change began: what BASE and HEAD have in common."""
    head: str

    def content(self, commit: str, path: str) -> bytes | None:
        return Snapshot(self.repository, commit).read(path).get(path)

    def mode(self, path: str) -> str:
        """Of a file at HEAD, "" if it is not there."""
        return self.repository.git("ls-tree", "--full-tree", self.head, "--", path).decode().partition(" ")[0]

    def blobs(self, path: str) -> set[str]:
        """Object names that the file has had on the live branch, up to where the change began."""
        return {new for _, _, new in file_history(self.repository, self.base, path)}

    def paths(self) -> list[str]:
        out = self.repository.git("diff", "--name-only", "--no-renames", "-z", self.base, self.head)
        return sorted({*out.decode(errors="surrogateescape").split("\0")[:-1], *self.elsewhere})

    @cached_property
    def elsewhere(self) -> dict[str, str]:
        """Links and submodules that a commit of the change brings, also where a later one takes them away again: the
        commit by path. Argo CD stops at them, and may read any commit that was pushed."""
        shape = ("--raw", "--no-abbrev", "--no-renames", "-z", "--format=%x00%H")
        out = self.repository.git("log", *shape, f"{self.base}..{self.head}").decode(errors="surrogateescape")
        commits: dict[str, str] = {}
        commit, fields = "", iter(field.strip("\n") for field in out.split("\0"))
        for field in fields:
            if field.startswith(":"):
                path = next(fields)
                if field.split()[1] in (LINK, SUBMODULE):
                    commits[path] = commit
            elif field:
                commit = field
        return commits

    @cached_property
    def of_models(self) -> tuple[set[str], set[str]]:
        """Every path below models/ and environments/ at BASE and at HEAD."""
        before, after = (
            Snapshot(self.repository, commit).paths("models", "environments") for commit in (self.base, self.head)
        )
        return before, after


def verify_change(where: str, commits: str, connections: Connections) -> list[FileFinding]:
    """Look at every file between two commits, ``BASE..HEAD``, of a checkout or a remote.

    The policy is that of BASE, so that a change can't widen its own rules. Raises InputError for commits that are not
    there, OstinatoError if the registry can't be read: then nothing is known.
    """
    with _opened(where) as repository:
        change = _change(repository, commits)
        rules = change.content(change.base, POLICY_FILE)
        policy = parse_policy(rules, f"{POLICY_FILE} of {change.base[:12]}")
        check_verifier(policy)
        return [_check_file(change, path, policy, connections) for path in change.paths()]


@contextmanager
def _opened(where: str) -> Iterator[Repository]:
    """The repository, with the whole history of its branches."""
    path = local_path(where)
    if path is None or (path / "objects").is_dir():
        with open_repository(where) as repository:
            repository.fetch("*", history=True)
            yield repository
        return
    if not path.is_dir():
        raise InputError(f"--repository {where!r} is no folder and no URL of a git repository")
    git_dir = git(path / ".git", "rev-parse", "--absolute-git-dir", remote=str(path)).decode().strip()
    repository = Repository(str(path), Path(git_dir), partial=False)
    if repository.git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise InputError(f"{path} has a part of the history only; bring the rest with: git fetch --unshallow")
    yield repository


def _change(repository: Repository, commits: str) -> ManifestsDiff:
    match = re.fullmatch(r"([^.\s-][^\s]*?)\.\.([^.\s-][^\s]*)", commits)
    if not match:
        raise InputError(f"{commits!r} is no change; write BASE..HEAD, such as origin/main..HEAD")
    base, head = (_commit(repository, name) for name in match.groups())
    common = repository.git("merge-base", base, head).decode().strip()
    return ManifestsDiff(repository, common, head)


def _commit(repository: Repository, name: str) -> str:
    known = repository.git("for-each-ref", "--format=%(refname:short)").decode().split()
    stem = re.sub(r"[~^][0-9~^]*$", "", name)
    if stem != "HEAD" and stem not in known and not re.fullmatch(r"[0-9a-f]{7,64}", stem):
        raise InputError(f"{name!r} is no commit and no branch of {repository.remote}; it has {', '.join(known)}")
    try:
        return repository.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    except OstinatoError as error:
        raise InputError(f"{name!r} is no commit of {repository.remote}") from error


def _check_file(change: ManifestsDiff, path: str, policy: Policy, connections: Connections) -> FileFinding:
    mode, content = change.mode(path), change.content(change.head, path)
    if mode not in (LINK, SUBMODULE) and path in change.elsewhere:
        return FileFinding(path, (f"it is a link or a submodule in commit {change.elsewhere[path][:12]}",), "")
    if not mode:
        problem = removal_problem(path, *change.of_models)
        return FileFinding(path, (problem,), "") if problem else FileFinding(path, (), "taken away")
    if content is None:
        return FileFinding(path, ("it is a submodule, so what it says is elsewhere",), "")
    if match := _MANIFEST.fullmatch(path):
        return _manifest(change, path, match[1], content, policy, connections)
    if match := _PRODUCTION.fullmatch(path):
        return _production(change, path, match[1], content)
    if path == POLICY_FILE:
        try:
            parse_policy(content)
        except InputError as error:
            return FileFinding(path, tuple(str(error).splitlines()), "")
        return FileFinding(path, (), "a policy; it counts from the next change on")
    problem = other_file_problem(path, mode, content)
    if problem:
        return FileFinding(path, (problem,), "")
    return FileFinding(path, (), "serves no model")


def _manifest(
    change: ManifestsDiff, path: str, name: str, content: bytes, policy: Policy, connections: Connections
) -> FileFinding:
    if blob_of(change.repository, change.head, path) in change.blobs(path):
        return FileFinding(path, (), "a way back: it was live before, byte for byte")
    try:
        manifest = parse(content, name, change.head)
    except InputError as error:
        return FileFinding(path, (str(error),), "")
    now, before = manifest.served, _parsed(change.content(change.base, path), name, change.base)
    known = {version.version for version in before.served.versions} if before else set()
    problems = foreign_parts(manifest)
    if before and contents(before.served) == contents(now):
        same = f"version {now.version}, as before; what is around it was edited"
        return FileFinding(path, tuple(problems), "" if problems else same)
    for served in now.versions:
        problems += served_problems(served, now.registered_model, policy.of(name), connections)
        if served.version not in known and not problems:
            problems += _policy_problems(change, name, served, now.registered_model, policy, connections)
    versions = ", ".join(dict.fromkeys(served.version for served in now.versions))
    return FileFinding(path, tuple(problems), "" if problems else f"version {versions}, as judged and registered")


def _policy_problems(
    change: ManifestsDiff,
    name: str,
    served: ServedVersion,
    registered_model: str,
    policy: Policy,
    connections: Connections,
) -> list[str]:
    """What the policy says to a version that the change makes live."""
    registered = registry(connections.tracking_uri).version(registered_model, served.version)
    assert registered, "served_problems has looked it up"

    def released() -> dict[str, datetime]:
        return first_releases(Snapshot(change.repository, change.base), name)

    author, skips = _skips(change, manifest_path(name))
    return broken_rules(policy.of(name), Request(registered, author, skips, released), connections.tracking_uri)


def _skips(change: ManifestsDiff, path: str) -> tuple[str, tuple[str, ...]]:
    """Author of the change's last commit to the file, and the checks that it asks to go without."""
    shape = f"--format=%ae%x1f%(trailers:key={SKIP},valueonly,separator=%x1f)"
    between = f"{change.base}..{change.head}"
    out = change.repository.git("log", "--max-count=1", shape, between, "--", path).decode().strip("\n")
    author, *skips = out.split("\x1f")
    return author, tuple(skip for skip in skips if skip)


def _production(change: ManifestsDiff, path: str, name: str, content: bytes) -> FileFinding:
    """A copy of what was released, or of what production had."""
    released = manifest_path(name)
    blob = blob_of(change.repository, change.head, path)
    if blob in change.blobs(path):
        return FileFinding(path, (), "a way back: it was in production before, byte for byte")
    if blob not in change.blobs(released) | {blob_of(change.repository, change.head, released)}:
        why = f"{released} was never this, byte for byte; `ostinato promote {name} --to production` copies it"
        return FileFinding(path, (why,), "")
    try:
        promoted = parse(content, name, change.head).served
    except InputError as error:
        return FileFinding(path, (str(error),), "")
    if promoted.canary:
        return FileFinding(path, (f"version {promoted.canary.version} is a canary; finish or abort it first",), "")
    return FileFinding(path, (), f"version {promoted.version}, as released")


def _parsed(content: bytes | None, name: str, commit: str) -> Manifest | None:
    """The manifest of a file; None for one that is not there or is broken."""
    try:
        return parse(content, name, commit) if content is not None else None
    except InputError:
        return None
