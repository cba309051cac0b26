"""How GitHub, GitLab and Gitea speak."""

from typing import Any

from harness.forges.stand_in import FORK, OWN, Dialect, ForgeServer, Pull, Refused


class GitHubDialect(Dialect):
    kind, root = "github", "/api/v3"

    def exists(self, head: str) -> Refused:
        return Refused(422, f"Validation Failed: A pull request already exists for fleet:{head}.")

    def answer(self, server: ForgeServer, operation: str, parts: list[str], query: dict[str, str], body: Any) -> Any:
        if operation == "pulls/list":
            return [self._told(one) for one in reversed(server.pulls) if self._asked(one, query)]
        if operation == "pulls/create":
            return self._told(server.open(body["head"], body["base"], body["title"], body["body"], body["draft"]))
        if operation == "issues/update-comment":
            who = server.edit_note(int(parts[2]), body["body"])
            return {"id": int(parts[2]), "user": {"login": who}, "body": body["body"]}
        if operation == "repos/create-commit-status":
            server.statuses.setdefault(parts[2], []).append(body)
            return {"id": 1, "state": body["state"], "context": body["context"]}
        pull = server.pulls[int(parts[2]) - 1]
        if operation == "pulls/update":
            pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
            if body.get("state") == "closed":
                pull.state, pull.closed_by = "closed", "ostinato-bot"
        elif operation == "issues/add-labels":
            pull.labels += [one for one in body["labels"] if one not in pull.labels]
            return [{"name": one} for one in pull.labels]
        elif operation == "pulls/request-reviewers":
            if unknown := [one for one in body["reviewers"] if one not in server.users]:
                raise Refused(422, f"Reviews may only be requested from collaborators: {unknown}")
            pull.reviewers += body["reviewers"]
        elif operation == "pulls/list-reviews":
            return [{"user": {"login": one}, "state": "APPROVED", "body": ""} for one in pull.reviewed]
        elif operation == "issues/list-comments":
            notes = zip(server.note_ids(pull), pull.comments, strict=True)
            return [{"id": note, "user": {"login": who}, "body": text} for note, (who, text) in notes]
        elif operation == "issues/create-comment":
            pull.comments.append(("ostinato-bot", body["body"]))
            return {"id": server.note_ids(pull)[-1], "user": {"login": "ostinato-bot"}, "body": body["body"]}
        elif operation == "issues/get":
            state = "open" if pull.state == "open" else "closed"
            who = {"login": pull.closed_by} if pull.closed_by else None
            return {"number": pull.number, "state": state, "closed_by": who}
        return self._told(pull)

    def _asked(self, one: Pull, query: dict[str, str]) -> bool:
        owner = "somebody" if one.fork else "fleet"
        state = "open" if one.state == "open" else "closed"
        return (
            query.get("state", "open") in ("all", state)
            and query.get("base", one.base) == one.base
            and query.get("head", f"{owner}:{one.branch}") == f"{owner}:{one.branch}"
        )

    def _told(self, one: Pull) -> dict[str, Any]:
        def end(ref: str, owner: str) -> dict[str, Any]:
            return {"ref": ref, "sha": "0" * 40, "repo": {"full_name": f"{owner}/manifests"}}

        return {
            "number": one.number,
            "html_url": f"https://github.example.org/fleet/manifests/pull/{one.number}",
            "title": one.title,
            "body": one.body.replace("\n", "\r\n"),
            "state": "open" if one.state == "open" else "closed",
            "merged_at": "2026-01-02T03:04:05Z" if one.state == "merged" else None,
            "draft": one.draft,
            "labels": [{"name": label} for label in one.labels],
            "requested_reviewers": [{"login": name} for name in one.reviewers],
            "head": end(one.branch, "somebody" if one.fork else "fleet"),
            "base": end(one.base, "fleet"),
        }


class GitLabDialect(Dialect):
    kind, root = "gitlab", "/api/v4"
    longest = 1_048_576
    default_page = 20

    def repository_of(self, parts: list[str]) -> str:
        return parts[0]

    def exists(self, head: str) -> Refused:
        return Refused(409, "Another open merge request already exists for this source branch: !1")

    def refusal(self, message: str) -> Any:
        return {"message": [message]}

    def answer(self, server: ForgeServer, operation: str, parts: list[str], query: dict[str, str], body: Any) -> Any:
        if operation == "listUsers":
            found = [name for name in server.users if query.get("username", name) == name]
            return [{"id": server.users[name], "username": name} for name in found]
        if operation == "listMergeRequests":
            return [self._told(server, one) for one in reversed(server.pulls) if self._asked(one, query)]
        if operation == "createMergeRequest":
            title = body["title"]
            branches = (body["source_branch"], body["target_branch"])
            pull = server.open(*branches, title, body["description"], title.startswith("Draft: "))
            pull.labels = [one for one in body.get("labels", "").split(",") if one]
            pull.reviewers = self._names(server, body.get("reviewer_ids", []))
            return self._told(server, pull)
        if operation == "listCommitStatuses":
            return [{"id": 1, **one} for one in server.statuses.get(parts[1], [])]
        if operation == "setCommitStatus":
            told = {"name": body["name"], "status": body["state"], "description": body["description"]}
            if told in server.statuses.setdefault(parts[1], []):
                raise Refused(400, f"Cannot transition status via :enqueue from :{body['state']}")
            server.statuses[parts[1]].append(told)
            return {"id": 1, **told}
        pull = server.pulls[int(parts[1]) - 1]
        if operation == "updateNote":
            who = server.edit_note(int(parts[2]), body["body"])
            return {"id": int(parts[2]), "body": body["body"], "system": False, "author": self._user(server, who)}
        if operation == "updateMergeRequest":
            pull.title, pull.body = body.get("title", pull.title), body.get("description", pull.body)
            pull.draft = pull.title.startswith("Draft: ")
            pull.labels += [one for one in body.get("add_labels", "").split(",") if one and one not in pull.labels]
            if "reviewer_ids" in body:
                pull.reviewers = self._names(server, body["reviewer_ids"])
            if body.get("state_event") == "close":
                pull.state, pull.closed_by = "closed", "ostinato-bot"
        elif operation == "listNotes":
            told = [{"id": 1, "body": "added 1 commit", "system": True, "author": self._user(server, "ostinato-bot")}]
            for note, (who, text) in zip(server.note_ids(pull), pull.comments, strict=True):
                told.append({"id": note, "body": text, "system": False, "author": self._user(server, who)})
            return told if query.get("sort") == "asc" else told[::-1]
        elif operation == "createNote":
            pull.comments.append(("ostinato-bot", body["body"]))
            author = self._user(server, "ostinato-bot")
            return {"id": 3, "body": body["body"], "system": False, "author": author}
        return self._told(server, pull)

    def _names(self, server: ForgeServer, ids: list[int]) -> list[str]:
        return [name for name, number in server.users.items() if number in ids]

    def _user(self, server: ForgeServer, name: str) -> dict[str, Any]:
        return {"id": server.users[name], "username": name}

    def _state(self, one: Pull) -> str:
        return "opened" if one.state == "open" else one.state

    def _asked(self, one: Pull, query: dict[str, str]) -> bool:
        return (
            query.get("state", "all") in ("all", self._state(one))
            and query.get("source_branch", one.branch) == one.branch
            and query.get("target_branch", one.base) == one.base
        )

    def _told(self, server: ForgeServer, one: Pull) -> dict[str, Any]:
        return {
            "iid": one.number,
            "web_url": f"https://gitlab.example.org/fleet/manifests/-/merge_requests/{one.number}",
            "source_branch": one.branch,
            "target_branch": one.base,
            "source_project_id": FORK if one.fork else OWN,
            "target_project_id": OWN,
            "title": one.title,
            "description": one.body.rstrip(),
            "state": self._state(one),
            "draft": one.draft,
            "labels": one.labels,
            "reviewers": [self._user(server, name) for name in one.reviewers],
            "closed_by": self._user(server, one.closed_by) if one.closed_by else None,
            "merged_at": "2026-01-02T03:04:05Z" if one.state == "merged" else None,
        }


class GiteaDialect(Dialect):
    kind, root = "gitea", "/api/v1"
    scheme = "token "
    longest = 1_000_000
    page = "limit"

    def exists(self, head: str) -> Refused:
        return Refused(409, f"pull request already exists for these targets [head_branch: {head}, base_branch: main]")

    def answer(self, server: ForgeServer, operation: str, parts: list[str], query: dict[str, str], body: Any) -> Any:
        if operation == "issueListLabels":
            return [{"id": number, "name": name} for name, number in server.labels.items()]
        if operation == "repoListPullRequests":
            asked = query.get("state", "open")
            return [self._told(server, one) for one in reversed(server.pulls) if asked in ("all", self._state(one))]
        if operation == "repoCreatePullRequest":
            title = body["title"]
            names = self._label_names(server, body.get("labels", []))
            pull = server.open(body["head"], body["base"], title, body["body"], title.startswith("WIP: "))
            pull.labels = names
            return self._told(server, pull)
        if operation == "issueEditComment":
            who = server.edit_note(int(parts[2]), body["body"])
            return {"id": int(parts[2]), "body": body["body"], "user": {"login": who}}
        if operation == "repoCreateStatus":
            server.statuses.setdefault(parts[2], []).append(body)
            return {"id": 1, "status": body["state"], "context": body["context"]}
        pull = server.pulls[int(parts[2]) - 1]
        if operation == "repoEditPullRequest":
            pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
            pull.draft = pull.title.startswith("WIP: ")
            if body.get("state") == "closed":
                pull.state, pull.closed_by = "closed", "ostinato-bot"
        elif operation == "issueAddLabel":
            pull.labels += self._label_names(server, body["labels"])
            return [{"id": server.labels[name], "name": name} for name in pull.labels]
        elif operation == "repoCreatePullReviewRequests":
            if unknown := [one for one in body["reviewers"] if one not in server.users]:
                raise Refused(404, f"user does not exist: {unknown}")
            pull.reviewers += body["reviewers"]
            return [self._review(name, "REQUEST_REVIEW") for name in pull.reviewers]
        elif operation == "repoListPullReviews":
            return [self._review(name, "APPROVED") for name in pull.reviewed]
        elif operation == "issueGetComments":
            notes = zip(server.note_ids(pull), pull.comments, strict=True)
            return [{"id": note, "body": text, "user": {"login": who}} for note, (who, text) in notes]
        elif operation == "issueCreateComment":
            pull.comments.append(("ostinato-bot", body["body"]))
            return {"id": 1, "body": body["body"], "user": {"login": "ostinato-bot"}}
        elif operation == "issueGetCommentsAndTimeline":
            told = [{"id": 1, "type": "comment", "body": text, "user": {"login": who}} for who, text in pull.comments]
            return [*told, {"id": 2, "type": "close", "body": "", "user": {"login": pull.closed_by}}]
        return self._told(server, pull)

    def _label_names(self, server: ForgeServer, ids: list[int]) -> list[str]:
        names = {number: name for name, number in server.labels.items()}
        if unknown := [one for one in ids if one not in names]:
            raise Refused(422, f"label does not exist: {unknown}")
        return [names[one] for one in ids]

    def _review(self, name: str, state: str) -> dict[str, Any]:
        return {"id": 1, "state": state, "user": {"login": name}}

    def _state(self, one: Pull) -> str:
        return "open" if one.state == "open" else "closed"

    def _told(self, server: ForgeServer, one: Pull) -> dict[str, Any]:
        gone = one.branch not in server.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines()
        return {
            "number": one.number,
            "html_url": f"https://gitea.example.org/fleet/manifests/pulls/{one.number}",
            "title": one.title,
            "body": one.body,
            "state": self._state(one),
            "merged": one.state == "merged",
            "labels": [{"id": server.labels[name], "name": name} for name in one.labels],
            "requested_reviewers": [{"login": name} for name in one.reviewers],
            "head": {
                "label": one.branch,
                "ref": f"refs/pull/{one.number}/head" if gone else one.branch,
                "repo_id": FORK if one.fork else OWN,
            },
            "base": {"label": one.base, "ref": one.base, "repo_id": OWN},
        }


DIALECTS = {one.kind: one for one in (GitHubDialect(), GitLabDialect(), GiteaDialect())}
