"""What Kubeflow's server remembers, and what it refuses beyond the form of a message."""

import re
from datetime import timedelta
from typing import Any

import yaml
from harness.kubeflow.nodes import START, put_steps, step_log
from kfp import components

Entry = dict[str, Any]
EPOCH = "1970-01-01T00:00:00Z"
DEFAULT_PAGE = 20
STEP_NODES = re.compile(r"(preprocess|train|champion|evaluate|register|deploy|executor)\b")
"""Those that are made anew when a run goes on; what holds them goes on."""


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
        """Steps, state and message that the run comes to, one at each look at it."""
        self.logs: dict[str, str] = {}
        """That Argo keeps, by the ids of the pods' nodes."""
        self.pod_logs: dict[str, str] = {}
        """Of pods that are there, by the same."""
        self.pods: dict[str, Entry] = {}
        """What Kubernetes says of pods, by their names."""
        self.events: dict[str, Entry] = {}
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

    def walk(self, steps: dict[str, str], state: str, error: str = "") -> None:
        """Put the only run into a state. steps: see put_steps. error: the exception that ended what failed."""
        pods = put_steps(self.only_run(), steps, state)
        if error:
            self.logs |= {pod: step_log(error) for step, pod in pods.items() if "FAILED" in steps[step]}

    def replay(self, recorded: Entry) -> None:
        """Put the only run into the state of one that was recorded."""
        run = self.only_run()
        run |= {name: recorded[name] for name in ("state", "state_history", "run_details") if name in recorded}

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
            self.walk(*self.pace.pop(0))
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
        for one in details:
            if not STEP_NODES.match(one["display_name"]) and one.get("state") == "FAILED":
                one["state"] = "RUNNING"
        kept = ("SUCCEEDED", "SKIPPED", "RUNNING")
        run["run_details"]["task_details"] = [one for one in details if one.get("state") in kept]
        run["state_history"].append({"update_time": self.now(), "state": "RUNNING"})
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
