"""The stand-in answers as a real Kubeflow Pipelines 2.17.0 was recorded to, but for the differences that
tests/recorded/differences.yaml lists with their reasons: that list is exact, so an entry that is out of date fails.

The same is asked of the stand-in in the same order, with the same names. Numbers that a server makes and times are not
compared, only how they are written. Statuses of HTTP were not recorded.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import yaml
from harness.kubeflow.server import KfpServer

FOLDER = Path(__file__).parents[1] / "recorded"
DIFFERENCES = yaml.safe_load((FOLDER / "differences.yaml").read_text())
NOBODY = "00000000-0000-0000-0000-000000000000"
MODEL = "demand-forecaster"
STEPS = ("preprocess", "train", "champion", "evaluate", "register", "deploy")
_NUMBER = re.compile(r"\b(?!0{8})[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[a-z]+(-[a-z]+)?-\d{4}\b")
_TIME = re.compile(r"\b(?!1970)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def recorded(name: str) -> Any:
    return json.loads((FOLDER / "kubernetes" / f"kfp-{name}.json").read_text())


class Asked:
    """A stand-in with what the recorded one had: an experiment, and a pipeline with two versions."""

    def __init__(self, server: KfpServer) -> None:
        self.server = server
        about = recorded("experiments-list")["experiments"][0]
        self.experiment = self.post("experiments", **{key: about[key] for key in ("display_name", "description")})
        self.pipeline = self.post("pipelines", display_name="hello-t3", name="hello-t3")
        self.upload("hello-t3")
        self.version = self.upload("v-t3")

    def ask(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: Any) -> Any:
        """The document that answers, a refusal too."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        address = f"{self.server.url}/apis/v2beta1/{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            with urlopen(Request(address, data, {"Content-Type": content}, method=method)) as reply:
                return json.load(reply)
        except HTTPError as error:
            return json.load(error)

    def post(self, path: str, **body: Any) -> Any:
        return self.ask("POST", path, body)

    def upload(self, name: str) -> Any:
        package = yaml.safe_dump(recorded("version-upload")["pipeline_spec"])
        part = (
            f'--b\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.yaml"\r\n\r\n{package}\r\n--b--\r\n'
        )
        query = {"name": name, "pipelineid": self.pipeline["pipeline_id"]}
        form = "multipart/form-data; boundary=b"
        return self.ask("POST", "pipelines/upload_version", part.encode(), form, **query)

    def source(self, **parameters: Any) -> dict[str, Any]:
        reference = {key: self.version[key] for key in ("pipeline_id", "pipeline_version_id")}
        config = {"runtime_config": {"parameters": parameters}} if parameters else {"runtime_config": {}}
        return {"experiment_id": self.experiment["experiment_id"], "pipeline_version_reference": reference, **config}

    def run(self, name: str = "r-G51", **parameters: Any) -> Any:
        return self.post("runs", display_name=name, **self.source(**(parameters or {"name": "a"})))

    def act(self, run: Any, what: str = "") -> Any:
        """``:terminate`` or ``:retry`` of a run, or a look at it."""
        number = run if isinstance(run, str) else run["run_id"]
        return self.ask("POST" if what else "GET", f"runs/{number}{what}")

    def recurring(self, name: str, limit: str = "1", **trigger: Any) -> Any:
        about = {"display_name": name, "max_concurrency": limit, "mode": "ENABLE", "no_catchup": True}
        return self.post("recurringruns", **about, trigger=trigger, **self.source(name="a"))

    def cron(self, name: str, cron: str, limit: str = "1") -> Any:
        return self.recurring(name, limit, cron_schedule={"cron": cron})

    def list_of_schedules(self) -> Any:
        self.cron("rr-G61-five", "0 12 * * *")
        self.recurring("rr-G64p", periodic_schedule={"interval_second": "3600"})
        self.cron("rr-G64", "0 0 3 * * 1")
        return self.ask("GET", "recurringruns", experiment_id=self.experiment["experiment_id"])

    def filtered(self, key: str) -> Any:
        predicate = {"operation": "EQUALS", "key": key, "string_value": "x"}
        return self.ask("GET", "experiments", filter=json.dumps({"predicates": [predicate]}))

    def page_in_another_order(self) -> Any:
        self.run()
        self.run("r-2")
        query = {"experiment_id": self.experiment["experiment_id"], "page_size": 1}
        token = self.ask("GET", "runs", **query, sort_by="created_at desc")["next_page_token"]
        return self.ask("GET", "runs", **query, page_token=token)

    def log(self) -> Any:
        self.server.state.logs["a-node"] = b64decode(recorded("node-main-logs-read")["data"]).decode()
        return self.ask("GET", f"runs/{NOBODY}/nodes/a-node/artifacts/main-logs:read")

    def walked(self, steps: dict[str, str], state: str) -> Any:
        run = self.run(f"{MODEL}-1")
        self.server.state.walk(steps, state)
        return self.act(run)


ASKED: dict[str, Callable[[Asked], Any]] = {
    "healthz": lambda kfp: kfp.ask("GET", "healthz"),
    "experiments-list": lambda kfp: kfp.ask("GET", "experiments"),
    "experiment-conflict": lambda kfp: (
        kfp.post("experiments", display_name="e-t3-00"),
        kfp.post("experiments", display_name="e-t3-00"),
    )[1],
    "filter-unknown-key": lambda kfp: kfp.filtered("flavour"),
    "page-token-other-sort": lambda kfp: kfp.page_in_another_order(),
    "pipeline-create-conflict": lambda kfp: kfp.post("pipelines", name="hello-t3"),
    "pipeline-create-display-only": lambda kfp: kfp.post("pipelines", display_name="hello-d-t3"),
    "version-upload": lambda kfp: kfp.version,
    "version-upload-conflict": lambda kfp: kfp.upload("v-t3"),
    "versions-list": lambda kfp: kfp.ask("GET", f"pipelines/{kfp.pipeline['pipeline_id']}/versions"),
    "recurring-create": lambda kfp: kfp.cron("rr-G64", "0 0 3 * * 1"),
    "recurring-create-periodic": lambda kfp: kfp.recurring("rr-G64p", periodic_schedule={"interval_second": "3600"}),
    "recurring-five-fields": lambda kfp: kfp.cron("rr-G61-five", "0 12 * * *"),
    "recurring-zone": lambda kfp: kfp.cron("rr", "TZ=Europe/Berlin 0 0 3 * * *"),
    "recurring-max-concurrency-0": lambda kfp: kfp.cron("rr", "0 0 3 * * *", "0"),
    "recurring-max-concurrency-11": lambda kfp: kfp.cron("rr", "0 0 3 * * *", "11"),
    "recurring-list": lambda kfp: kfp.list_of_schedules(),
    "recurring-delete-gone": lambda kfp: kfp.ask("DELETE", "recurringruns/e3eb4e56-c727-4c7a-8bd4-0207c09ddf05"),
    "node-main-logs-read": lambda kfp: kfp.log(),
    "run-create": lambda kfp: kfp.run(),
    "run-get-pending": lambda kfp: kfp.act(kfp.run()),
    "run-create-missing-parameter": lambda kfp: kfp.run(n=3),
    "run-create-unknown-parameter": lambda kfp: kfp.run(name="a", zzz="b"),
    "run-create-wrong-type": lambda kfp: kfp.run(name="a", n="three"),
    "run-unknown": lambda kfp: kfp.act(NOBODY),
    "run-unknown-terminate": lambda kfp: kfp.act(NOBODY, ":terminate"),
    "run-terminate": lambda kfp: kfp.act(kfp.run(), ":terminate"),
    "run-after-terminate": lambda kfp: (run := kfp.run(), kfp.act(run, ":terminate"), kfp.act(run))[2],
    "terminate-again": lambda kfp: (run := kfp.run(), kfp.act(run, ":terminate"), kfp.act(run, ":terminate"))[2],
    "retry-not-reported": lambda kfp: kfp.act(kfp.run(), ":retry"),
}
"""How each recording's answer is asked for."""
CACHED = {"preprocess": "CACHED", "train": "SUCCEEDED"}
BEGUN = {"preprocess": "SUCCEEDED", "train": "RUNNING"}
WALKED: dict[str, tuple[dict[str, str], str]] = {
    "run-succeeded-cached": ({**dict.fromkeys(STEPS, "SUCCEEDED"), "preprocess": "CACHED"}, "SUCCEEDED"),
    "run-kills-in-register-and-deploy": ({**dict.fromkeys(STEPS, "SUCCEEDED"), "train": "CACHED"}, "SUCCEEDED"),
    "run-champion-failed": ({**CACHED, "champion": "FAILED"}, "FAILED"),
    "run-before-resume": ({**CACHED, "champion": "FAILED"}, "FAILED"),
    "run-after-resume": ({**CACHED, "champion": "RUNNING"}, "RUNNING"),
    "run-refused": ({**CACHED, "evaluate": "SUCCEEDED", "register": "FAILED"}, "FAILED"),
    "run-cancelled": ({**CACHED, "champion": "FAILED"}, "CANCELED"),
    "run-pod-killed": (BEGUN, "RUNNING"),
    "run-retries": ({**BEGUN, "train": "FAILED"}, "FAILED"),
    "run-oom": ({**BEGUN, "train": "FAILED"}, "FAILED"),
}
"""Runs of six steps, and the state that the stand-in is brought to; compared without what differs from run to run."""


@pytest.fixture
def kfp() -> Iterator[Asked]:
    with KfpServer() as server:
        yield Asked(server)


def masked(value: Any) -> Any:
    """Without the numbers that a server makes and without times, which must be in whole seconds."""
    if isinstance(value, dict):
        return {key: masked(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [masked(entry) for entry in value]
    return _TIME.sub("TIME", _NUMBER.sub("NUMBER", value)) if isinstance(value, str) else value


def compared(real: Any, ours: Any, field: str = "") -> Iterator[str]:
    """A line for each difference; a field without a mark is of the real answer alone."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in sorted({**real, **ours}):
            path = f"{field}.{key}".lstrip(".")
            if key in real and key in ours:
                yield from compared(real[key], ours[key], path)
            else:
                yield path if key in real else f"{path} (stand-in alone)"
    elif isinstance(real, list) and isinstance(ours, list) and len(real) == len(ours):
        for position, pair in enumerate(zip(real, ours, strict=True)):
            yield from compared(*pair, f"{field}.{position}")
    elif real != ours:
        yield f"{field}: {real!r}, not {ours!r}"


def shape(run: Any) -> Any:
    """What a look at a run has whatever was run: its fields and those of its nodes, its state, how nodes are called."""
    nodes = run["run_details"]["task_details"]
    names = {node["display_name"] for node in nodes if "display_name" in node}
    called = {re.sub("|".join(STEPS), "STEP", name) for name in names if not name.startswith(MODEL)}
    fields = {
        f"{key} of {'a node' if 'display_name' in node else 'one without a name'}" for node in nodes for key in node
    }
    details = {key: "…" for key in run["run_details"]} | {"task_details": dict.fromkeys(fields | called, "…")}
    return {**{key: "…" for key in run if key != "description"}, "state": run["state"], "run_details": details}


def listed(name: str) -> set[str]:
    """The differences of a recording that are known, whatever their reason."""
    return {line for entry in DIFFERENCES["kubeflow"] for line in entry["differences"].get(name, [])}


@pytest.mark.parametrize("name", ASKED)
def test_a_question_is_answered_as_it_was(name: str, kfp: Asked) -> None:
    assert set(compared(masked(recorded(name)), masked(ASKED[name](kfp)))) == listed(name)


@pytest.mark.parametrize("name", WALKED)
def test_a_run_looks_as_it_did(name: str, kfp: Asked) -> None:
    every = listed("every run of six steps")
    differences = set(compared(shape(recorded(name)), shape(kfp.walked(*WALKED[name]))))
    assert differences == every | listed(name)


def test_every_recording_is_held_or_says_why_not() -> None:
    names = {path.stem.removeprefix("kfp-") for path in (FOLDER / "kubernetes").glob("kfp-*")}
    left_out = [name for entry in DIFFERENCES["not replayed"] for name in entry["recordings"]]
    assert sorted([*ASKED, *WALKED, *left_out]) == sorted(names)
    used = {name for entry in DIFFERENCES["kubeflow"] for name in entry["differences"]}
    assert used <= {*ASKED, *WALKED, "every run of six steps"}
    assert all(entry["reason"] for group in DIFFERENCES.values() for entry in group)
