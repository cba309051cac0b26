"""Whether a manifest is as a release committed it: a release says so in trailers, and a manual edit does not."""

from delivery.git.history import MODEL, blob_of
from delivery.git.repository import Repository
from delivery.kserve.manifest import manifest_path


def manual_edit_problem(repository: Repository, tip: str, name: str) -> str:
    """Why the model's file at ``tip`` is not as it was released, "" if it is; with the history of every branch here."""
    path = manifest_path(name)
    blob = blob_of(repository, tip, path)
    trailer = f"%(trailers:key={MODEL},valueonly,separator=%x2C)"
    shape = ("--full-history", "--raw", "--no-abbrev", "--no-renames", f"--format=>%H%x1f%an <%ae>%x1f{trailer}")
    out = repository.git("log", *shape, "--branches", "--", path).decode(errors="replace").splitlines()
    header, manual = "", ""
    for line in out:
        if line.startswith(">"):
            header = line[1:]
        elif line.startswith(":") and line.split()[3] == blob:
            commit, author, model = header.split("\x1f")
            if model == name:
                return ""
            manual = manual or f"commit {commit[:12]} by {author} changed it, which is no release"
    return manual or "no commit of its history has it"
