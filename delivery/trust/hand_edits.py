"""Whether a manifest is as a release committed it: a release says so in trailers, and a hand edit does not."""

from delivery.git.history import MODEL, blob_of
from delivery.git.repository import Repository
from delivery.kserve.manifest import manifest_path


def handmade_problem(repository: Repository, tip: str, name: str) -> str:
    """Why the model's file at ``tip`` is not as it was released, "" if it is; with the history of every branch here."""
    path = manifest_path(name)
    wanted = blob_of(repository, tip, path)
    trailer = f"%(trailers:key={MODEL},valueonly,separator=%x2C)"
    shape = ("--full-history", "--raw", "--no-abbrev", "--no-renames", f"--format=>%H%x1f%an <%ae>%x1f{trailer}")
    out = repository.git("log", *shape, "--branches", "--", path).decode(errors="replace").splitlines()
    head, hand = "", ""
    for line in out:
        if line.startswith(">"):
            head = line[1:]
        elif line.startswith(":") and line.split()[3] == wanted:
            commit, author, model = head.split("\x1f")
            if model == name:
                return ""
            hand = hand or f"commit {commit[:12]} by {author} changed it, which is no release"
    return hand or "no commit of its history has it"
