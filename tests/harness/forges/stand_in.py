"""A forge on loopback over a real bare git repository: it keeps proposals, checks each message against the vendor's
contract, and refuses what the vendor refuses. One class for what forges are, one for how each speaks."""

import json
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.forges.contract import Broken, Contract
from harness.loopback import LoopbackServer, Reply, Request

TOKEN = "s3cret-t0ken"
OWN, FORK = 7, 8
"""Numbers of the repository and of a fork of it."""


@dataclass
class Pull:
    number: int
    branch: str
    base: str
    title: str
    body: str
    draft: bool = False
    state: Literal["open", "closed", "merged"] = "open"
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    reviewed: list[str] = field(default_factory=list)
    comments: list[tuple[str, str]] = field(default_factory=list)
    closed_by: str = ""
    fork: bool = False


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ForgeServer(LoopbackServer):
    """See the module."""

    def __init__(self, dialect: "Dialect", repository: Path) -> None:
        super().__init__()
        self.dialect, self.repository = dialect, repository
        self.contract = Contract(dialect.kind)
        self.token = TOKEN
        self.pulls: list[Pull] = []
        self.users = {"ann": 11, "bob": 12, "ostinato-bot": 13}
        self.labels = {"model": 21, "release": 22}
        self.statuses: dict[str, list[dict[str, str]]] = {}
        """Of each commit, the newest last."""

    @property
    def seen(self) -> list[str]:
        """Method and path of every request that changes something."""
        return [f"{request.method} {request.path}" for request in self.log if request.method != "GET"]

    @property
    def setting(self) -> str:
        return f"{self.dialect.kind}={self.url}"

    def invented(self, status: int) -> bytes:
        return b'{"message": "an invented fault"}'

    def answer(self, request: Request) -> Reply:
        with self.lock:
            status, answer, more = self._answer(request, json.loads(request.body) if request.body else None)
        return Reply(status, answer, {"Link": f'<{self.url}{request.path}?page=2>; rel="next"'} if more else {})

    def _answer(self, request: Request, body: Any) -> tuple[int, Any, bool]:
        """Status, JSON, and whether there is another page."""
        dialect, path, query = self.dialect, request.path, request.query
        if request.headers.get("Authorization") != dialect.scheme + self.token:
            return 401, dialect.refusal("Bad credentials"), False
        try:
            if not path.startswith(dialect.root):
                raise Broken(f"{path} is not under {dialect.root}")
            # The contract's paths have no slash in a part, so a part that is quoted is quoted still.
            name, operation, parts = self.contract.operation(request.method, path.removeprefix(dialect.root))
            if parts and dialect.repository_of(parts) != "fleet/manifests":
                return 404, dialect.refusal("Not Found"), False
            self.contract.check_request(operation, query, body)
            answer = dialect.answer(self, name, parts, query, body)
            more = False
            if isinstance(answer, list) and request.method == "GET" and "page" in query:
                size, page = int(query.get(dialect.page, dialect.default_page)), int(query["page"])
                more = len(answer) > size * page
                answer = answer[size * (page - 1) : size * page]
            status = int(next(iter(operation["responses"])))
            self.contract.check_answer(operation, status, answer)
        except Broken as broken:
            self.broken.append(f"{request.method} {path}: {broken}")
            return 422, dialect.refusal(f"not in the contract: {broken}"), False
        except Refused as refused:
            return refused.status, dialect.refusal(str(refused)), False
        return status, answer, more

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        at = ["-C", str(folder)] if folder else [f"--git-dir={self.repository}"]
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        return subprocess.run(["git", *at, *who, *arguments], capture_output=True, text=True, check=True).stdout.strip()

    def only_open(self) -> Pull:
        (found,) = [one for one in self.pulls if one.state == "open"]
        return found

    def note_ids(self, pull: Pull) -> list[int]:
        """Of its comments, unlike those of every other proposal."""
        return [1000 * pull.number + place for place in range(len(pull.comments))]

    def edit_note(self, note: int, text: str) -> str:
        """Who wrote the comment that has another text now."""
        pull, place = self.pulls[note // 1000 - 1], note % 1000
        pull.comments[place] = (pull.comments[place][0], text)
        return pull.comments[place][0]

    def only_open_of(self, model: str) -> str:
        """Branch of the one proposal of a model that is open."""
        (found,) = [one for one in self.pulls if one.state == "open" and f"/{model}/" in one.branch and not one.fork]
        return found.branch

    def open(self, head: str, base: str, title: str, body: str, draft: bool) -> Pull:
        """What every forge checks before it opens a proposal."""
        branches = self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines()
        if head not in branches or base not in branches:
            raise Refused(422, f"no such branch: {head} or {base}")
        if not self.git("rev-list", "--max-count=1", f"{base}..{head}"):
            raise Refused(422, f"No commits between {base} and {head}")
        if any(one.branch == head and one.state == "open" and not one.fork for one in self.pulls):
            raise self.dialect.exists(head)
        if len(body) > self.dialect.longest:
            raise Refused(422, f"body is too long (maximum is {self.dialect.longest} characters)")
        pull = Pull(len(self.pulls) + 1, head, base, title, body, draft)
        self.pulls.append(pull)
        return pull

    def close_by(self, who: str, number: int, comment: str = "") -> None:
        """A person closes a proposal without merging it."""
        pull = self.pulls[number - 1]
        if comment:
            pull.comments.append((who, comment))
        pull.state, pull.closed_by = "closed", who

    def merge(self, number: int, how: Literal["merge", "squash"]) -> None:
        """A person presses the button, and the branch is deleted."""
        pull = self.pulls[number - 1]
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name)
            self.git("clone", "--quiet", str(self.repository), str(copy), folder=copy.parent)
            if how == "merge":
                self.git("merge", "--no-ff", "-m", f"Merge {pull.branch}", f"origin/{pull.branch}", folder=copy)
            else:
                self.git("merge", "--squash", f"origin/{pull.branch}", folder=copy)
                self.git("commit", "-m", f"{pull.title} (#{number})", folder=copy)
            self.git("push", "--quiet", "origin", "HEAD:main", folder=copy)
        pull.state = "merged"


class Dialect(ABC):
    """How one forge speaks. ``answer`` gives the status and the JSON of an operation."""

    kind = ""
    root = ""
    scheme = "Bearer "
    longest = 65_536
    page = "per_page"
    default_page = 30

    def repository_of(self, parts: list[str]) -> str:
        return "/".join(parts[:2])

    @abstractmethod
    def exists(self, head: str) -> Refused: ...

    @abstractmethod
    def answer(
        self, server: ForgeServer, operation: str, parts: list[str], query: dict[str, str], body: Any
    ) -> Any: ...

    def refusal(self, message: str) -> Any:
        return {"message": message}
