"""What Kubeflow's server remembers, and what it refuses beyond the form of a message."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import yaml
from harness.kubeflow.nodes import START, put_steps, step_log
from kfp import components

Entry = dict[str, Any]
EPOCH = "1970-01-01T00:00:00Z"
DEFAULT_PAGE = 20
SUBMISSIONS = "ostinato-submissions"
STEP_NODES = re.compile(r"(preprocess|train|champion|evaluate|register|deploy|executor)\b")
"""Those that are made anew when a run goes on; what holds them goes on."""
FILTERED = ("name", "display_name", "recurring_run_id", "state", "storage_state")
"""Fields that lists are filtered by here; the real server has more."""
PLUGINS = {
    "mlflow": {
        "entries": {"experiment_name": {"value": "KFP-Default"}},
        "state": "PLUGIN_FAILED",
        "state_message": "MLflow config resolution failed; run creation will continue: Invalid input error: Kubernetes "
        "bearer token is empty for MLflow auth",
    }
}
"""Of Kubeflow's own plugin, which 2.17.0 brings switched on."""
OTHER_PAGE = (
    "page token does not match the supplied sort by and/or filtering criteria. Either specify the same criteria or "
    "leave the latter empty if page token is specified"
)


UNREADABLE = "Failed to create a recurring run due to conversion error"
UNREADABLE_CRON = "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron). Error: "
NOT_RUN = "Failed to create a new run: Failed to generate the ExecutionSpec: invalid pipeline job inputs"


class Refused(Exception):
    """detail: the cause without what the server put around it. upload: the upload's own form of an error."""

    def __init__(self, status: int, message: str, detail: str = "", code: int = 0, upload: bool = False) -> None:
        super().__init__(message)
        self.status, self.detail, self.upload = status, detail or message, upload
        self.code = code or {400: 3, 404: 5, 409: 6}.get(status, 2)
        """Of gRPC."""


def invalid(around: str, detail: str) -> Refused:
    return Refused(400, f"{around}: Invalid input error: {detail}", detail)


class State:
    """Entries by their ids, in the order in which they were made."""

    def __init__(self, multi_user: bool) -> None:
        self.multi_user = multi_user
        self.health: Entry = {"multi_user": multi_user, "pipeline_store": "database"}
        self.experiments: dict[str, Entry] = {}
        self.pipelines: dict[str, Entry] = {}
        self.versions: dict[str, Entry] = {}
        self.packages: dict[str, str] = {}
        """Text of each version of a model's pipeline."""
        self.runs: dict[str, Entry] = {}
        self.recurring: dict[str, Entry] = {}
        self.killed: set[str] = set()
        """Runs whose workflow was deleted with their recurring run; their states stay as they were."""
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
        self.crowded = False
        """Whether all is made within one second, under ids that tell no order."""

    def answer(self, operation: str, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        """The answer to an operation of the contract."""
        return getattr(self, "_" + re.sub(r"^\w+Service_", "", operation))(parts, query, body)

    @property
    def model_pipelines(self) -> dict[str, Entry]:
        """Those of models, without the one that says which run each submission is."""
        return {number: entry for number, entry in self.pipelines.items() if entry["name"] != SUBMISSIONS}

    @property
    def model_versions(self) -> dict[str, Entry]:
        """Of the pipelines of models."""
        known = self.model_pipelines
        return {number: entry for number, entry in self.versions.items() if entry["pipeline_id"] in known}

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
        number = str(uuid4()) if self.crowded else f"{kind.replace('_', '-')}-{self.made:04d}"
        return {f"{kind}_id": number, "created_at": self.now()}

    def now(self) -> str:
        return (START + timedelta(seconds=0 if self.crowded else self.made)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _page(self, key: str, entries: list[Entry], parts: Entry, query: dict[str, str]) -> Entry:
        for predicate in parts.get("filter", {}).get("predicates", []):
            compare = {"EQUALS": str.__eq__, "IS_SUBSTRING": str.__contains__}.get(predicate.get("operation", ""))
            if compare is None or set(predicate) != {"operation", "key", "string_value"}:
                raise Refused(400, f"this stand-in has no filter {predicate}")
            if predicate["key"] not in FILTERED:
                unknown = f'no support for filtering on unrecognized field "{predicate["key"]}"'
                raise invalid("Failed to create list options", unknown)
            field, text = predicate["key"], predicate["string_value"]
            entries = [entry for entry in entries if not self.filters or compare(entry.get(field, ""), text)]
        if "sort_by" in query:
            name, _, way = query["sort_by"].partition(" ")
            entries = sorted(entries, key=lambda one: one[name], reverse=way == "desc")
        size = min(int(query.get("page_size", 0)) or self.page, self.page)
        order = json.dumps([query.get("sort_by"), parts.get("filter")])
        first, asked = json.loads(query["page_token"]) if query.get("page_token") else (0, order)
        if asked != order:
            raise invalid("Failed to create list options", OTHER_PAGE)
        more = {"next_page_token": json.dumps([first + size, order])} if first + size < len(entries) else {}
        return {key: entries[first : first + size], "total_size": len(entries), **more} if entries else {}

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
            taken = f"Failed to create a new experiment. {_taken(body['display_name'], 'exists')}"
            raise Refused(409, f"Failed to create a experiment: Already exist error: {taken}", taken)
        made = {**body, **self._new("experiment"), "storage_state": "AVAILABLE", "last_run_created_at": EPOCH}
        return self.experiments.setdefault(made["experiment_id"], made)

    def _ListPipelines(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        return self._page("pipelines", list(self.pipelines.values()), parts, query)

    def _CreatePipeline(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        name = body.get("name") or body["display_name"]
        if any(one["name"] == name for one in self.pipelines.values()):
            around = "Failed to create a pipeline due to server error: Failed to create a pipeline in PipelineStore"
            taken = f"Failed to create a new pipeline. {_taken(name, 'exist')}"
            raise Refused(409, f"{around}: Already exist error: {taken}", taken)
        made = {"display_name": name, "name": name, **body, **self._new("pipeline")}
        return self.pipelines.setdefault(made["pipeline_id"], made)

    def _ListPipelineVersions(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        own = [one for one in self.versions.values() if one["pipeline_id"] == parts["pipeline_id"]]
        return self._page("pipeline_versions", own, parts, query)

    def _GetPipelineVersion(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        return self._known(self.versions, parts["pipeline_version_id"])

    def _UploadPipelineVersion(self, parts: Entry, query: dict[str, str], body: str) -> Entry:
        self._known(self.pipelines, query["pipelineid"])
        same = [one for one in self.versions.values() if one["pipeline_id"] == query["pipelineid"]]
        if any(one["name"] == query["name"] for one in same):
            raise Refused(409, "Failed to create a pipeline version", upload=True)
        components.load_component_from_text(body)  # what kfp itself takes for a package
        spec, *platform = yaml.safe_load_all(body)
        made = {
            **self._new("pipeline_version"),
            "pipeline_id": query["pipelineid"],
            "name": query["name"],
            "display_name": query.get("display_name", query["name"]),
            **({"description": query["description"]} if query.get("description") else {}),
            "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec,
        }
        if self.pipelines[query["pipelineid"]]["name"] != SUBMISSIONS:
            self.packages[made["pipeline_version_id"]] = body
        return self.versions.setdefault(made["pipeline_version_id"], made)

    def _DeletePipelineVersion(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.versions, parts["pipeline_version_id"])
        del self.versions[parts["pipeline_version_id"]]
        return {}

    def _ListRuns(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.experiments, query["experiment_id"])
        own = [one for one in self.runs.values() if one["experiment_id"] == query["experiment_id"]]
        own.sort(key=lambda run: (run["created_at"], run["run_id"]))
        return self._page("runs", own, parts, query)

    def _CreateRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.experiments, body["experiment_id"])
        self._check_source(body)
        made = {"service_account": "pipeline-runner", **body, **self._new("run"), "state": "PENDING"}
        made |= {"storage_state": "AVAILABLE", "scheduled_at": made["created_at"], "finished_at": EPOCH}
        made |= {"plugins_output": PLUGINS}
        made["state_history"] = [{"update_time": made["created_at"], "state": "PENDING"}]
        return self.runs.setdefault(made["run_id"], made)

    def _GetRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        run = self._known_run(parts["run_id"], "Failed to get a run")
        if self.pace:
            self.walk(*self.pace.pop(0))
        return run

    def _TerminateRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        failed = f"Failed to terminate a run: Failed to terminate run {parts['run_id']}"
        run = self._known_run(parts["run_id"], f"{failed} due to error fetching the run")
        if run["state"] not in ("PENDING", "RUNNING"):
            raise invalid(failed, f"Failed to terminate a run {parts['run_id']}. Row not found")
        run["state"] = "CANCELING"
        return {}

    def _RetryRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        run = self._known_run(parts["run_id"], "Failed to retry a run")
        if run["state"] not in ("FAILED", "CANCELED"):
            detail = f"Failed to retry run {parts['run_id']} due to error fetching workflow manifest"
            around = "Failed to retry a run: BadRequestError"
            raise Refused(
                409, f"{around}: {detail}: Invalid input error: Workflow manifest cannot be empty", detail, 10
            )
        run["state"] = "RUNNING"
        details = run["run_details"]["task_details"]
        for one in details:
            if not STEP_NODES.match(one.get("display_name", "")) and one.get("state") == "FAILED":
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
            bound = "Max concurrency of a recurring run must be at least 1 and at most 10."
            raise invalid(UNREADABLE, f"{bound} Received {body['max_concurrency']}")
        if "cron_schedule" in body["trigger"]:
            check_cron(body["trigger"]["cron_schedule"]["cron"])
        made = {"service_account": "pipeline-runner", **body, **self._new("recurring_run")}
        made |= {"updated_at": made["created_at"], "namespace": body.get("namespace") or "kubeflow"}
        made["status"] = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
        return self.recurring.setdefault(made["recurring_run_id"], made)

    def _DisableRecurringRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        self._known(self.recurring, parts["recurring_run_id"]).update({"mode": "DISABLE", "status": "DISABLED"})
        return {}

    def _DeleteRecurringRun(self, parts: Entry, query: dict[str, str], body: Any) -> Entry:
        number = parts["recurring_run_id"]
        if number not in self.recurring:
            gone = f"Failed to delete recurring run {number}. Check if exists: ResourceNotFoundError"
            detail = f"Job {number} not found"
            raise Refused(404, f"Failed to delete a recurring run: {gone}: {detail}", detail)
        started = [
            number for number, run in self.runs.items() if run.get("recurring_run_id") == parts["recurring_run_id"]
        ]
        self.killed |= {number for number in started if self.runs[number]["state"] in ("PENDING", "RUNNING")}
        del self.recurring[parts["recurring_run_id"]]
        return {}

    def _check_source(self, body: Any) -> None:
        """What the server checks before it runs a version: its parameters are there and known."""
        version = self._known(self.versions, body["pipeline_version_reference"]["pipeline_version_id"])
        spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
        known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = body["runtime_config"].get("parameters", {})
        for name in sorted(set(given) - set(known)):
            raise invalid(NOT_RUN, f"parameter(s) provided are not required by pipeline: {name}")
        for name, parameter in known.items():
            if name not in given and not parameter.get("isOptional"):
                lacks = "is not optional, yet has neither default value nor user provided value"
                raise invalid(NOT_RUN, f"parameter name {lacks}")  # of every parameter it says "name"
            if parameter["parameterType"] == "NUMBER_INTEGER" and isinstance(given.get(name), str):
                wants = "requires type double or integer, but the parameter value is not of number value type"
                raise invalid(NOT_RUN, f"input parameter {name} {wants}")

    def _known_run(self, number: str, around: str) -> Entry:
        if number not in self.runs:
            detail = f"Run {number} not found"
            raise Refused(404, f"{around}: Failed to fetch run {number}: ResourceNotFoundError: {detail}", detail)
        return self.runs[number]

    def _known(self, entries: dict[str, Entry], number: str) -> Entry:
        if number not in entries:
            raise Refused(404, f"{number} not found")
        return entries[number]


def _taken(name: str, exists: str) -> str:
    return f"The name {name} already {exists}. Please specify a new name"


MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
BOUNDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []), (0, 59, []), (0, 23, []), (1, 31, []), (1, 12, MONTHS), (0, 6, DAYS)
)  # fmt: skip
DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def check_cron(cron: str) -> None:
    """As cron.Parse of robfig/cron 1.2.0 (parser.go) reads it: a descriptor, or five or six fields of which the first
    is the second and the last, the day of the week from 0 to 6, may be left out. No time zone."""
    if cron in DESCRIPTORS or cron.startswith("@every "):
        return
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise invalid(UNREADABLE, f"{UNREADABLE_CRON}Expected 5 to 6 fields, found {len(fields)}: {cron}")
    for text, (low, high, names) in zip(fields, BOUNDS, strict=False):
        for part in filter(None, text.split(",")):
            span, _, step = part.partition("/")
            ends = [low, high] if span in ("*", "?") else [_number(end, names, low) for end in span.split("-")]
            first, last = ends[0], high if step and len(ends) == 1 else ends[-1]
            if len(ends) > 2 or not low <= first <= last <= high or (step and not re.fullmatch("0*[1-9][0-9]*", step)):
                raise invalid(UNREADABLE, f"{UNREADABLE_CRON}{part} is beyond {low} to {high}, or has a wrong step")


def _number(text: str, names: list[str], low: int) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + low
    if not text.isdigit():
        raise invalid(UNREADABLE, f"{UNREADABLE_CRON}Failed to parse int from {text}")
    return int(text)
