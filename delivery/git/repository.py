"""The manifests repository: read one commit of it, write another one, push it.

There is never a clone of the whole repository. Each transaction has a scratch bare repository of its own; it
fetches the tips that it needs without file contents (or borrows a local repository's objects), builds the commit
with plumbing, and pushes it with the expected old value. Nothing is left behind but the pushed commit.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from delivery.git.access import NOTHING, GitAccess, access
from delivery.git.run import check_remote, git, local_path
from delivery.git.signing import signing
from training.errors import InputError, OstinatoError

LIVE_BRANCH = "main"
TRIED_BRANCH = "ostinato-preflight"
"""What a push is tried with; it is never made."""
ReleaseMode = Literal["direct", "pull-request"]
"""A commit on the live branch, or on a branch that a reviewer merges."""


@dataclass(frozen=True)
class Snapshot:
    """One commit of the repository."""

    repository: "Repository"
    commit: str

    def read(self, *paths: str) -> dict[str, bytes]:
        """Bytes of every file at or under the paths, by path; what does not exist is not in it."""
        blobs = self._blobs(paths)
        contents = self.repository.blobs(set(blobs.values()))
        return {path: contents[blob] for path, blob in blobs.items()}

    def paths(self, *paths: str) -> set[str]:
        """Which files there are at or under the paths. Nothing is fetched."""
        return set(self._blobs(paths))

    def _blobs(self, paths: tuple[str, ...]) -> dict[str, str]:
        """Object names by path."""
        if not paths:
            return {}
        listed = self.repository.git("ls-tree", "-r", "-z", "--full-tree", self.commit, "--", *paths)
        blobs = {}
        for entry in listed.decode(errors="surrogateescape").split("\0")[:-1]:
            (_, kind, blob), path = entry.split("\t")[0].split(), entry.split("\t", 1)[1]
            if kind == "blob":
                blobs[path] = blob
        return blobs


@dataclass(frozen=True)
class Repository:
    """A scratch bare repository that talks to one remote."""

    remote: str
    git_dir: Path
    partial: bool
    access: GitAccess = NOTHING

    def git(self, *arguments: str, feed: bytes = b"", options: tuple[str, ...] = ()) -> bytes:
        every, extra = (*self.access.options, *options), self.access.environment
        return git(self.git_dir, *arguments, remote=self.remote, feed=feed, extra=extra, options=every)

    def fetch(self, *patterns: str, history: bool = False) -> dict[str, str]:
        """Bring the branches' tips here, and say which commit each is at, by branch name.

        A pattern is a branch, which must exist, or ends in ``*``. ``history`` brings all commits and folders of
        them, else only the tips; file contents come when they are read.
        """
        refspecs = [f"+refs/heads/{pattern}:refs/heads/{pattern}" for pattern in patterns]
        shape = ["--filter=blob:none", *([] if history else ["--depth=1"])] if self.partial else []
        self.git("fetch", "--quiet", "--no-tags", "--prune", *shape, "origin", *refspecs)
        refs = self.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").decode()
        return {name: commit for commit, name in (line.split(" ", 1) for line in refs.splitlines())}

    def snapshot(self, branch: str = LIVE_BRANCH, history: bool = False) -> Snapshot:
        """The branch as it is now. Raises InputError if it does not exist."""
        return Snapshot(self, self.fetch(branch, history=history)[branch])

    def fetch_commits(self, branch: str = LIVE_BRANCH) -> None:
        """Bring every commit of the branch here, without folders and contents, so that messages can be read."""
        if self.partial and (self.git_dir / "shallow").is_file():
            refspec = f"+refs/heads/{branch}:refs/heads/{branch}"
            self.git("fetch", "--quiet", "--no-tags", "--unshallow", "--filter=tree:0", "origin", refspec)

    def blobs(self, names: set[str]) -> dict[str, bytes]:
        """Contents by object name, fetched in one go where they are not here."""
        ordered = sorted(names)
        if not ordered:
            return {}
        if self.partial:
            feed = "\n".join(ordered).encode() + b"\n"
            lean = ("-c", "fetch.negotiationAlgorithm=noop")
            tail = ("--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin")
            self.git("fetch", "--quiet", "--no-tags", "origin", *tail, feed=feed, options=lean)
        out = self.git("cat-file", "--batch", feed="".join(f"{name}\n" for name in ordered).encode())
        contents, start = {}, 0
        for name in ordered:
            header, _, _ = out[start:].partition(b"\n")
            size = int(header.split()[2])
            start += len(header) + 1
            contents[name] = out[start : start + size]
            start += size + 1
        return contents

    def commit(self, files: Mapping[str, bytes | None], message: str, parent: str | None) -> str:
        """Write a commit that puts the files over the parent's, and return its name. Nothing is pushed.

        A file without content, None, is taken away.

        It is signed where a key is configured. Raises InputError or OstinatoError if it can't be.
        """
        tree = self._tree(files, parent)
        parents = ["-p", parent] if parent else []
        signature = signing()
        arguments = ("commit-tree", *(["-S"] if signature else []), tree, *parents)
        try:
            extra, options = signature.environment, signature.options
            name = git(
                self.git_dir, *arguments, remote=self.remote, feed=message.encode(), extra=extra, options=options
            )
        except OstinatoError as error:
            if signature:
                raise signature.failed(error) from error
            raise
        return name.decode().strip()

    def _tree(self, files: Mapping[str, bytes | None], parent: str | None) -> str:
        """Write the files and the folders on their paths over the parent's, in one process without an index.

        Costs what those folders cost, whatever else the repository holds. fast-import makes a commit of its own on the
        way, which it forgets again.
        """
        feed = ["commit refs/ostinato", "committer Ostinato <ostinato@localhost> now", "data 0"]
        feed += [f"from {parent}"] if parent else []
        stream = "\n".join([*feed, ""]).encode()
        for path, content in sorted(files.items()):
            quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            if content is None:
                stream += f'D "{quoted}"\n'.encode()
            else:
                stream += f'M 100644 inline "{quoted}"\ndata {len(content)}\n'.encode() + content + b"\n"
        stream += b'ls ""\nreset refs/ostinato\nfrom 0000000000000000000000000000000000000000\n'
        _, _, tree = self.git("fast-import", "--quiet", "--date-format=now", feed=stream).decode().split()
        return tree

    def push(self, commit: str, branch: str, expected: str) -> None:
        """Move the branch from ``expected`` ("" for a new one) to the commit. Raises LostRace if it has moved."""
        ref = f"refs/heads/{branch}"
        lease = f"--force-with-lease={ref}:{expected}"
        self.git("push", "--porcelain", "--no-verify", lease, "origin", f"{commit}:{ref}")

    def try_push(self, commit: str) -> None:
        """Ask whether a new branch could be pushed, and push nothing. Raises as :meth:`push`."""
        self.git("push", "--dry-run", "--porcelain", "--no-verify", "origin", f"{commit}:refs/heads/{TRIED_BRANCH}")


@contextmanager
def open_repository(remote: str) -> Iterator[Repository]:
    """A scratch repository for the remote, removed at the end.

    Raises InputError for a remote that can't be one, and for credentials that can't be used.
    """
    path = local_path(check_remote(remote))
    url = str(path) if path else remote
    if path and not path.is_dir():
        raise InputError(f"manifests remote {path} does not exist or is no folder; give a git repository")
    with tempfile.TemporaryDirectory(prefix="ostinato-git-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        lines = [
            "[core]",
            "bare = true",
            "repositoryformatversion = 1",
            "[gc]",
            "auto = 0",
            "[maintenance]",
            "auto = false",
        ]
        quoted = url.replace("\\", "\\\\").replace('"', '\\"')
        lines += ['[remote "origin"]', f'url = "{quoted}"']
        objects = path / "objects" if path else None
        borrows = objects is not None and objects.is_dir()
        if not borrows:
            lines += ["promisor = true", "partialclonefilter = blob:none", "[extensions]", "partialclone = origin"]
        for name in ("objects/info", "refs/heads"):
            (scratch / name).mkdir(parents=True)
        if borrows:
            (scratch / "objects/info/alternates").write_text(f"{objects}\n")
        (scratch / "config").write_text("\n".join(lines) + "\n")
        (scratch / "HEAD").write_text(f"ref: refs/heads/{LIVE_BRANCH}\n")
        yield Repository(url, scratch, not borrows, access(url, scratch))


def ensure_local_repository(path: Path, seed_folder: Path) -> Path:
    """Make the bare repository at ``path`` on first use, with the seed folder's files as its first commit.

    Built beside its place and moved there whole, so a kill or a race leaves nothing or all of it. Returns the path.
    """
    if path.is_dir():
        return path
    if not seed_folder.is_dir():
        raise InputError(f"{seed_folder} does not exist; it holds what the manifests repository starts from")
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {
        file.relative_to(seed_folder).as_posix(): file.read_bytes()
        for file in sorted(seed_folder.rglob("*"))
        if file.is_file()
    }
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        building = Path(folder, path.name)
        building.mkdir()
        repository = Repository(str(path), building, partial=False)
        repository.git("init", "--quiet", "--bare", "--template=", f"--initial-branch={LIVE_BRANCH}")
        repository.git("config", "uploadpack.allowFilter", "true")
        commit = repository.commit(files, "Start the manifests repository\n", parent=None)
        repository.git("update-ref", f"refs/heads/{LIVE_BRANCH}", commit)
        try:
            building.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    return path
