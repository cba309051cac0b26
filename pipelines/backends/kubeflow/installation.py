"""One installation of Kubeflow Pipelines: for one user or many, our experiment in it, the pipelines that it has."""

import hashlib
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from kfp_server_api import V2beta1Experiment, V2beta1Pipeline

from pipelines.backends.kubeflow.connection import Entry, KubeflowConnection
from pipelines.backends.kubeflow.descriptions import facts_of
from pipelines.backends.remote import Submission, in_order
from training.errors import InputError


class Installation:
    """What is asked once and remembered. All raise InputError or OstinatoError as the connection does."""

    def __init__(self, connection: KubeflowConnection) -> None:
        self.connection, self.settings = connection, connection.settings
        self._experiment = ""
        self._versions: dict[str, Entry] = {}
        self._models: dict[str, str] = {}
        self.differences: list[str] = []
        """Where it is another than Kubeflow Pipelines 2.17, as far as that was met."""

    @cached_property
    def namespace(self) -> str:
        """Of an installation for many users; one for a single user refuses any."""
        health = self.connection.ask("asking for its health", self.connection.health.healthz_service_get_healthz)
        if "pipeline_store" not in health:
            self.differences.append("its API is older than 2.17: it does not tell where pipelines are stored")
        if health.get("multi_user") and not self.settings.namespace:
            raise InputError(
                f"Kubeflow at {self.settings.endpoint} is for many users; set kubeflow.namespace to the profile's"
            )
        if self.settings.namespace and not health.get("multi_user"):
            self.differences.append("it is for a single user, so kubeflow.namespace is not used")
            return ""
        return self.settings.namespace

    @property
    def where(self) -> dict[str, str]:
        return {"namespace": self.namespace} if self.namespace else {}

    def experiment(self) -> str:
        """Id of our experiment; "" while nothing has run."""
        if not self._experiment:
            self._experiment = (self._look_for_experiment() or {}).get("experiment_id", "")
        return self._experiment

    def make_experiment(self) -> str:
        """Id of our experiment, which is made unless it is there."""
        if not self._experiment:
            create = self.connection.experiments.experiment_service_create_experiment
            body = V2beta1Experiment(display_name=self.settings.experiment, **self.where)
            doing = f"creating the experiment {self.settings.experiment}"
            experiment, _ = self.connection.settle(
                doing, self._look_for_experiment, lambda: self.connection.once(create, body)
            )
            self._experiment = experiment["experiment_id"]
        return self._experiment

    def _look_for_experiment(self) -> Entry | None:
        list_experiments = self.connection.experiments.experiment_service_list_experiments
        name = self.settings.experiment
        return self.connection.oldest("experiment", name, "experiments", list_experiments, **self.where)

    def model(self, run: Entry) -> str:
        """What a run's description says, else the name of its pipeline; "" for one that is not ours to see."""
        stated = facts_of(run.get("description")).get("model", "")
        if stated:
            return stated
        pipeline = (run.get("pipeline_version_reference") or {}).get("pipeline_id", "")
        if pipeline not in self._models:
            list_them = self.connection.pipelines.pipeline_service_list_pipelines
            listed = self.connection.entries("listing the pipelines", "pipelines", list_them, **self.where)
            self._models |= {entry["pipeline_id"]: entry["display_name"] for entry in listed}
        return self._models.setdefault(pipeline, "")

    def version(self, reference: dict[str, Any]) -> Entry:
        """The version that a run is of; empty for a run that has none."""
        number = reference.get("pipeline_version_id", "")
        if number and number not in self._versions:
            get = self.connection.pipelines.pipeline_service_get_pipeline_version
            doing = "asking for the pipeline's version"
            self._versions[number] = self.connection.ask(doing, get, reference["pipeline_id"], number)
        return self._versions.get(number, {})

    def upload(self, submission: Submission) -> Entry:
        """The version with this package of the submission's pipeline, made with the pipeline unless they are there."""
        text = submission.package.read_text(encoding="utf-8")
        name = submission.pipeline or submission.model
        pipeline = self.make_pipeline(name, submission.description)
        steps, commit = " > ".join(_steps(text)), submission.labels.get("commit", "unknown")
        about = f"{submission.description} {steps}. First submitted by commit {commit}.".lstrip()
        return self.make_version(pipeline, f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}", text, about)

    def pipeline(self, name: str) -> Entry | None:
        """The one of this name."""
        list_pipelines = self.connection.pipelines.pipeline_service_list_pipelines
        return self.connection.oldest("pipeline", name, "pipelines", list_pipelines, **self.where)

    def make_pipeline(self, name: str, about: str) -> Entry:
        """The one of this name, with the description of whoever made it first."""
        create = self.connection.pipelines.pipeline_service_create_pipeline
        body = V2beta1Pipeline(name=name, display_name=name, description=about or None, **self.where)
        return self.connection.settle(
            f"creating the pipeline {name}", lambda: self.pipeline(name), lambda: self.connection.once(create, body)
        )[0]

    def make_version(self, pipeline: Entry, name: str, text: str, about: str) -> Entry:
        """The version of this name, with the text and the description of whoever made it first."""
        connection, number = self.connection, pipeline["pipeline_id"]
        list_versions = connection.pipelines.pipeline_service_list_pipeline_versions

        def send() -> Entry:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / f"{name}.yaml"
                file.write_text(text, encoding="utf-8")
                about_it = {"name": name, "display_name": name, "description": about}
                return connection.once(
                    connection.uploads.upload_pipeline_version, str(file), pipelineid=number, **about_it
                )

        return connection.settle(
            f"uploading the version {name}",
            lambda: connection.oldest("version", name, "pipeline_versions", list_versions, number),
            send,
        )[0]


def _steps(text: str) -> list[str]:
    """Names of the steps of a package."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return step_names({"pipeline_spec": next(iter(yaml.load_all(text, loader)))})


def step_names(version: Entry) -> list[str]:
    """Names of the steps of a version, in an order that they can run in."""
    spec = version.get("pipeline_spec") or {}
    return in_order(spec.get("pipeline_spec", spec).get("root", {}).get("dag", {}).get("tasks", {}))
