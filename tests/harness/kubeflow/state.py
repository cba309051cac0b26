"""What Kubeflow's server remembers, and what it refuses beyond the form of a message."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from kfp import components

Entry = dict[str, Any]
START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
EPOCH = "1970-01-01T00:00:00Z"
DEFAULT_PAGE = 20


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class State:
    """Entries by their ids, in the order in which they were made."""

    def __init__(self, multi_user: bool) -> None:
        self.multi_user = multi_user
        self.health: Entry = {"multi_user": multi_user, "pipeline_store": "database"}
        self.experiments: dict[str, Entry] = {}
        self.pipelines: dict[str, Entry] = {}
        self.versions: dict[str, Entry] = {}
        self.packages: dict[str, str] = {}
        """Text of each version."""
        self.runs: dict[str, Entry] = {}
        self.recurring: dict[str, Entry] = {}
        self.pace: list[tuple[dict[str, str], str, str]] = []
        """Steps, state and message that a run comes to, one at each look at it."""
        self.made = 0
        self.page = DEFAULT_PAGE
        self.filters = True
        """Whether lists heed a filter."""

    def answer(self, operation: str, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        """The answer to an operation of the contract."""
        return getattr(self, "_" + re.sub(r"^\w+Service_", "", operation))(parts, query, body)

    def only_run(self) -> Entry:
        (found,) = self.runs.values()
        return found

    def _new(self, kind: str) -> Entry:
        self.made += 1
        return {f"{kind}_id": f"{kind.replace('_', '-')}-{self.made:04d}", "created_at": self.now()}

    def now(self) -> str:
        return (START + timedelta(seconds=self.made)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _page(self, key: str, entries: list[Entry], parts: Entry, query: dict[str, str]) -> Entry:
        for predicate in parts.get("filter", {}).get("predicates", []):
            if predicate.get("operation") != "EQUALS" or set(predicate) != {"operation", "key", "string_value"}:
                raise Refused(400, f"this stand-in has no filter {predicate}")
            wanted = predicate["string_value"]
            entries = [one for one in entries if not self.filters or one.get(predicate["key"]) == wanted]
        if "sort_by" in query:
            name, _, way = query["sort_by"].partition(" ")
            entries = sorted(entries, key=lambda one: one[name], reverse=way == "desc")
        size = min(int(query.get("page_size", 0)) or self.page, self.page)
        first = int(query.get("page_token") or 0)
        more = {"next_page_token": str(first + size)} if first + size < len(entries) else {}
        # protojson leaves out an empty list
        shown = {key: entries[first : first + size]} if entries else {}
        return {**shown, "total_size": len(entries), **more}

    def _check_namespace(self, given: str) -> None:
        if given and not self.multi_user:
            raise Refused(400, "In single-user mode, the namespace must be empty")
        if not given and self.multi_user:
            raise Refused(400, "Namespace cannot be empty")

    def _GetHealthz(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        return self.health

    def _ListExperiments(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._check_namespace(query.get("namespace", ""))
        return self._page("experiments", list(self.experiments.values()), parts, query)

    def _CreateExperiment(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._check_namespace(body.get("namespace", ""))
        if any(one["display_name"] == body["display_name"] for one in self.experiments.values()):
            raise Refused(409, f"Experiment already exists: {body['display_name']}")
        made = {**body, **self._new("experiment"), "storage_state": "AVAILABLE"}
        return self.experiments.setdefault(made["experiment_id"], made)

    def _ListPipelines(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        return self._page("pipelines", list(self.pipelines.values()), parts, query)

    def _CreatePipeline(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        if any(one["name"] == body["name"] for one in self.pipelines.values()):
            raise Refused(409, f"The name {body['name']} already exists. Please specify a new name")
        made = {"display_name": body["name"], **body, **self._new("pipeline")}
        return self.pipelines.setdefault(made["pipeline_id"], made)

    def _ListPipelineVersions(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        own = [one for one in self.versions.values() if one["pipeline_id"] == parts["pipeline_id"]]
        return self._page("pipeline_versions", own, parts, query)

    def _GetPipelineVersion(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        return self._known(self.versions, parts["pipeline_version_id"])

    def _UploadPipelineVersion(self, parts: Entry, query: dict[str, str], body: str) -> Entry:
        self._known(self.pipelines, query["pipelineid"])
        if any(one["name"] == query["name"] for one in self.versions.values()):
            raise Refused(409, f"The name {query['name']} already exists")
        components.load_component_from_text(body)  # what kfp itself takes for a package
        spec, *platform = yaml.safe_load_all(body)
        made = {
            **self._new("pipeline_version"),
            "pipeline_id": query["pipelineid"],
            "name": query["name"],
            "display_name": query.get("display_name", query["name"]),
            "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec,
        }
        self.packages[made["pipeline_version_id"]] = body
        return self.versions.setdefault(made["pipeline_version_id"], made)

    def _ListRuns(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.experiments, query["experiment_id"])
        own = [one for one in self.runs.values() if one["experiment_id"] == query["experiment_id"]]
        return self._page("runs", own, parts, query)

    def _CreateRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.experiments, body["experiment_id"])
        self._check_source(body)
        made = {**body, **self._new("run"), "state": "PENDING", "storage_state": "AVAILABLE", "finished_at": EPOCH}
        return self.runs.setdefault(made["run_id"], made)

    def _GetRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        run = self._known(self.runs, parts["run_id"])
        if self.pace:
            walk(run, *self.pace.pop(0))
        return run

    def _TerminateRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        run = self._known(self.runs, parts["run_id"])
        if run["state"] not in ("PENDING", "RUNNING"):
            raise Refused(400, f"the run has ended: {run['state']}")
        run["state"] = "CANCELING"
        return {}

    def _RetryRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        run = self._known(self.runs, parts["run_id"])
        if run["state"] not in ("FAILED", "CANCELED"):
            raise Refused(400, "Only failed or cancelled runs can be retried")
        run["state"] = "RUNNING"
        details = run["run_details"]["task_details"]
        run["run_details"]["task_details"] = [one for one in details if one["state"] in ("SUCCEEDED", "SKIPPED")]
        return {}

    def _ListRecurringRuns(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        own = [one for one in self.recurring.values() if one["experiment_id"] == query["experiment_id"]]
        return self._page("recurringRuns", own, parts, query)

    def _CreateRecurringRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.experiments, body["experiment_id"])
        self._check_source(body)
        if not 1 <= int(body["max_concurrency"]) <= 10:
            raise Refused(400, "max_concurrency must be in [1, 10]")
        check_cron(body["trigger"]["cron_schedule"]["cron"])
        made = {**body, **self._new("recurring_run"), "status": "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"}
        return self.recurring.setdefault(made["recurring_run_id"], made)

    def _DeleteRecurringRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.recurring, parts["recurring_run_id"])
        del self.recurring[parts["recurring_run_id"]]
        return {}

    def _check_source(self, body: Any) -> None:
        """What the server checks before it runs a version: its parameters are there and known."""
        version = self._known(self.versions, body["pipeline_version_reference"]["pipeline_version_id"])
        spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
        known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = body["runtime_config"].get("parameters", {})
        if set(given) - set(known):
            raise Refused(400, f"the pipeline has no parameters {sorted(set(given) - set(known))}")
        missing = {name for name, one in known.items() if not one.get("isOptional")} - set(given)
        if missing:
            raise Refused(400, f"the parameters {sorted(missing)} are missing")

    def _known(self, entries: dict[str, Entry], number: str) -> Entry:
        if number not in entries:
            raise Refused(404, f"{number} not found")
        return entries[number]


def check_cron(cron: str) -> None:
    """As robfig/cron 1.2 reads it: six fields, seconds first, no time zone, days of the week from 0 to 6."""
    fields = cron.split()
    ranges = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
    if len(fields) != 6:
        raise Refused(400, f"The Schedule cron is malformatted: expected 6 fields, found {len(fields)}: {cron}")
    for text, (low, high) in zip(fields, ranges, strict=True):
        for part in text.split(","):
            match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
            if not match:
                raise Refused(400, f"The Schedule cron is malformatted: failed to parse int from {part}")
            first, last = int(match[1] or low), int(match[2] or match[1] or high)
            if not low <= first <= last <= high:
                raise Refused(400, f"The Schedule cron is malformatted: {part} is beyond {low} to {high}")


def walk(run: Entry, steps: dict[str, str], state: str, message: str = "") -> None:
    """Put a run into a state, with the nodes that its Argo workflow has then.

    steps: state of each step that has begun; "CACHED" for one that the cache answered. message: of what failed.
    """
    details = [_node(run, "root", "RUNNING" if state == "RUNNING" else state), _node(run, "root-driver", "SUCCEEDED")]
    for i, (name, told) in enumerate(steps.items()):
        details.append(_node(run, f"{name}-driver", "SUCCEEDED"))
        shown = "SUCCEEDED" if told == "CACHED" else told
        executor = _node(run, "executor", "SKIPPED" if told == "CACHED" else told, pod=f"{name}-executor")
        node = _node(run, name, shown, begin=i * 60)
        node["child_tasks"] = [{"pod_name": executor["pod_name"]}]
        if told == "FAILED" and message:
            node["error"] = {"code": 13, "message": message}
        details += [node, executor]
    run["state"] = state
    run["run_details"] = {"pipeline_context_id": "0", "pipeline_run_context_id": "0", "task_details": details}


def _node(run: Entry, name: str, state: str, pod: str = "", begin: int = 0) -> Entry:
    begun = START + timedelta(seconds=begin)
    ended = state not in ("PENDING", "RUNNING")
    return {
        "run_id": run["run_id"],
        "task_id": f"task-{pod or name}",
        "display_name": name,
        "create_time": run["created_at"],
        "start_time": begun.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "end_time": (begun + timedelta(seconds=42)).strftime("%Y-%m-%dT%H:%M:%SZ") if ended else EPOCH,
        "executor_detail": {},
        "state": state,
        "execution_id": "0",
        "pod_name": f"{run['display_name']}-{pod or name}",
    }
