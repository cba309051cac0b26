"""`ostinato config`: every setting that is in force, and where it comes from; and settings given as flags."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import PyprojectTomlConfigSettingsSource

from pipelines.backends.table import BACKENDS
from pipelines.settings.settings import Workspace, fields_of, settings_model
from training.errors import InputError, did_you_mean
from training.spec.section import Frozen

SECRETS = (
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("OSTINATO_GIT_TOKEN", "OSTINATO_FORGE_TOKEN", "OSTINATO_GITHUB_APP_KEY"),
    *("OSTINATO_SIGNING_KEY", "OSTINATO_SIGNING_KEY_PASSWORD"),
    *(secret for backend in BACKENDS.values() for secret in backend.secrets),
    *("OSTINATO_SLACK_WEBHOOK", "OSTINATO_SMTP_USER", "OSTINATO_SMTP_PASSWORD"),
    *("OSTINATO_EVENTS_SECRET", "OSTINATO_MLFLOW_WEBHOOK_SECRET"),
)
"""Of the environment, each also with `_FILE`: whether they are there is told, never what they are."""


@dataclass(frozen=True)
class Row:
    """A setting in force."""

    name: str
    value: Any
    source: str


def parse_given(pairs: Sequence[str]) -> dict[str, Any]:
    """``section.name=value`` pairs as settings. A value that starts with `[` or `{` is YAML.

    Raises InputError for anything else, for an unknown setting and for one given twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair!r} is not NAME=VALUE; write for example --set vertex.region=europe-west4")
        *section, key = name.split(".")
        _check_known(name, section, key)
        node = settings
        for part in section:
            node = node.setdefault(part, {})
        if key in node:
            raise InputError(f"--set {name} is given twice: {node[key]} and {text}")
        node[key] = _value(name, text)
    return settings


def _check_known(name: str, section: list[str], key: str) -> None:
    for i, part in enumerate(section):
        known = fields_of(section[:i])
        if known and part not in known:
            raise InputError(f"--set {name}: there is no such setting. {did_you_mean(part, known)}")
    known = fields_of(section)
    if known and key not in known:
        raise InputError(f"--set {name}: there is no such setting. {did_you_mean(key, known)}")


def _value(name: str, text: str) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {name}={text!r} is not YAML: {error}") from error


def configuration(workspace: Workspace, given: Mapping[str, Any]) -> list[Row]:
    """Every setting, in the order of the reference, with its source: `--set`, a variable, pyproject.toml, default."""
    with chdir(workspace.root):
        file = PyprojectTomlConfigSettingsSource(settings_model())()
    embedded = {
        "tracking_uri": workspace.connections.tracking_uri,
        "manifests_remote": workspace.connections.manifests_remote,
    }
    rows = []
    for path, field, value in _leaves((), workspace.settings):
        name = ".".join(path)
        source = _source(path, field, given, file)
        rows.append(Row(name, value or embedded.get(name, value), source))
    return rows


def _leaves(path: tuple[str, ...], section: Any) -> Iterator[tuple[tuple[str, ...], FieldInfo, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Frozen):
            yield from _leaves((*path, name), value)
        else:
            yield (*path, name), field, value


def _source(path: tuple[str, ...], field: FieldInfo, given: Mapping[str, Any], file: Mapping[str, Any]) -> str:
    if _holds(given, path):
        return "--set"
    for variable in _variables(path, field):
        if variable in os.environ:
            return variable
    return "pyproject.toml" if _holds(file, path) else "default"


def _variables(path: tuple[str, ...], field: FieldInfo) -> list[str]:
    """Environment variables that a setting is read from, the first one that is set wins."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices if str(choice).isupper()]
    names = "OSTINATO_" + "__".join(path).upper()
    return [names, *(["OSTINATO_" + path[0].upper()] if len(path) > 1 else [])]


def _holds(tree: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(tree, Mapping) or part not in tree:
            return False
        tree = tree[part]
    return True


def secrets_there() -> list[str]:
    """Names of the secrets that the environment holds, or names a file of."""
    return [name for secret in SECRETS for name in (secret, f"{secret}_FILE") if os.environ.get(name)]


def configuration_text(rows: Sequence[Row]) -> str:
    """One line a setting: its name, its value as JSON, its source."""
    width = max(len(row.name) for row in rows)
    shown = [(row, json.dumps(row.value)) for row in rows]
    broad = min(60, max(len(value) for _, value in shown))
    lines = [f"{row.name:<{width}}  {value:<{broad}}  {row.source}" for row, value in shown]
    secrets = secrets_there()
    return "\n".join([*lines, "", "secrets in the environment: " + (", ".join(secrets) or "none")])
