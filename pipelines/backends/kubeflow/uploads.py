"""Pipelines and their versions: one pipeline for a model, one version for a content, looked up before it is made."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from kfp_server_api import V2beta1Pipeline

from pipelines.backends.kubeflow.connection import KubeflowConnection
from pipelines.backends.remote import in_order

Entry = dict[str, Any]


def named(name: str) -> str:
    """A filter for entries of exactly this name."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]})


def version_name(model: str, text: str) -> str:
    """Equal content has an equal name."""
    return f"{model}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def upload(connection: KubeflowConnection, namespace: str, model: str, text: str) -> Entry:
    """The version of this content, made with its pipeline unless they are there.

    Raises InputError or OstinatoError.
    """
    where = {"namespace": namespace} if namespace else {}
    api = connection.pipelines

    def look_for_pipeline() -> Entry | None:
        doing = f"looking for the pipeline {model}"
        listed = connection.every(doing, "pipelines", api.pipeline_service_list_pipelines, filter=named(model), **where)
        return _of_name(listed, model)

    pipeline, _ = connection.settle(
        f"creating the pipeline {model}",
        look_for_pipeline,
        lambda: connection.once(
            api.pipeline_service_create_pipeline, V2beta1Pipeline(name=model, display_name=model, **where)
        ),
    )
    version = version_name(model, text)

    def look_for_version() -> Entry | None:
        doing, number = f"looking for the version {version}", pipeline["pipeline_id"]
        list_versions = api.pipeline_service_list_pipeline_versions
        return _of_name(
            connection.every(doing, "pipeline_versions", list_versions, number, filter=named(version)), version
        )

    def send() -> Entry:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{version}.yaml"
            file.write_text(text, encoding="utf-8")
            named_so = {"name": version, "display_name": version, "pipelineid": pipeline["pipeline_id"]}
            return connection.once(connection.uploads.upload_pipeline_version, str(file), **named_so)

    return connection.settle(f"uploading the version {version}", look_for_version, send)[0]


def _of_name(entries: list[Entry], name: str) -> Entry | None:
    """The oldest entry of the name, whatever the filter let through."""
    named_entries = [entry for entry in entries if entry.get("display_name") == name]
    return min(named_entries, key=lambda entry: entry.get("created_at") or "") if named_entries else None


def step_names(version: Entry) -> list[str]:
    """Names of the steps of a version, in an order that they can run in."""
    spec = version.get("pipeline_spec") or {}
    return in_order(spec.get("pipeline_spec", spec).get("root", {}).get("dag", {}).get("tasks", {}))
