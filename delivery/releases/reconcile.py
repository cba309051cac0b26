"""Reconcile: the registry's aliases follow git, never the other way round."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from delivery.connections import Connections
from delivery.effects import effect
from delivery.git.history import retired_models
from delivery.git.repository import open_repository
from delivery.kserve.manifest import PREFIX, LiveModel
from delivery.kserve.parse import parse
from delivery.registry.lookup import registry
from delivery.registry.prompts import alias_moves
from delivery.registry.versions import CHAMPION, PREVIOUS, PROMPTS_TAG, Registry
from delivery.releases.environments import PRODUCTION, STAGING
from training.errors import InputError, OstinatoError


@dataclass(frozen=True)
class AliasChange:
    """One alias that was moved, set or removed; versions are "" where there is none."""

    model: str
    registered_model: str
    """The registered model that has the alias, or a prompt of it."""
    alias: str
    before: str
    after: str


def reconcile(connections: Connections, name: str | None = None) -> list[AliasChange]:
    """Set `champion` and `previous` of every live model (or of one) to what its manifest says.

    A model that was promoted also has `champion-staging` and `champion-production`, by what each environment runs. One
    that was retired has none of the four.

    Returns the changes; a second call returns none. Raises OstinatoError that lists every manifest that names
    a version which the registry lacks or knows with another digest, after the other models' aliases have followed.
    """
    reader = registry(connections.tracking_uri)
    changes: list[AliasChange] = []
    problems: list[str] = []
    owners: dict[str, str] = {}
    released, promoted, retired, commit = _manifests(connections.manifests_remote, name)
    for model, content in released.items():
        if name not in (None, model):
            continue
        try:
            live = parse(content, model, commit).served
            in_production = parse(promoted[model], model, commit).served if model in promoted else None
        except InputError as error:
            problems.append(str(error))
            continue
        other = owners.setdefault(live.registered_model, model)
        problem = _problem(reader, live) if other == model else f"{other} and {model} share {live.registered_model!r}"
        problem = problem or (_problem(reader, in_production) if in_production else "")
        if problem:
            problems.append(problem)
        else:
            changes += _follow(reader, live, in_production)
    for model, registered_model in retired.items():
        if name in (None, model) and registered_model not in _registered_models(released):
            changes += _end_aliases(reader, model, registered_model)
    if problems:
        followed = "".join(
            f"\n  moved: {change.registered_model}@{change.alias} to {change.after or 'none'}" for change in changes
        )
        raise OstinatoError("aliases could not follow git:\n  " + "\n  ".join(problems) + followed)
    return changes


def follow_retirement(connections: Connections, model: str, registered_model: str) -> list[AliasChange]:
    """Take away the aliases of a model that git has no more; nothing if it is back, or another has its registered
    model. Returns the changes; a second call returns none."""
    released, *_ = _manifests(connections.manifests_remote, None)
    if model in released or registered_model in _registered_models(released):
        return []
    return _end_aliases(registry(connections.tracking_uri), model, registered_model)


def _manifests(remote: str, name: str | None) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, str], str]:
    """Bytes of what is released and of what was promoted, by model name; the registered models of what was retired;
    and the commit that they were read from. The history is looked at unless ``name`` is released."""
    production = f"environments/{PRODUCTION}"
    manifests: dict[str, dict[str, bytes]] = {"models": {}, production: {}}
    with open_repository(remote) as repository:
        snapshot = repository.snapshot()
        for path, content in sorted(snapshot.read("models", production).items()):
            folder, _, file = path.rpartition("/")
            where, _, model = folder.rpartition("/")
            if where in manifests and file == "inferenceservice.yaml":
                manifests[where][model] = content
        released, retired = manifests["models"], {}
        if name not in released:
            repository.fetch_commits()
            retired = retired_models(snapshot)
    gone = {model: registered for model, registered in retired.items() if model not in released}
    return released, manifests[production], gone, snapshot.commit


def _registered_models(manifests: Mapping[str, bytes]) -> set[str]:
    """Those that the manifests name, broken ones too."""
    annotation = re.compile(rf"{re.escape(PREFIX)}registered-model: *(\S+)".encode())
    return {match[1].decode().strip("'\"") for content in manifests.values() if (match := annotation.search(content))}


def _problem(reader: Registry, live: LiveModel) -> str:
    """Why the registry can't follow this manifest, "" if it can."""
    fix = f"`ostinato rollback {live.name}`, or register that model again"
    registered = reader.version(live.registered_model, live.version)
    if registered is None:
        return (
            f"the manifest of {live.name} names version {live.version} of {live.registered_model}, "
            f"which the registry does not have; {fix}"
        )
    if registered.digest != live.digest:
        return (
            f"the manifest of {live.name} names version {live.version} of {live.registered_model} with digest "
            f"{live.digest}, the registry has it with {registered.digest or 'none'}; {fix}"
        )
    return ""


def _follow(reader: Registry, live: LiveModel, promoted: LiveModel | None) -> list[AliasChange]:
    """Move the model's aliases where they differ; promoted: what production runs.

    Those of a version that takes over from its canary follow when the canary is gone.
    """
    versions: dict[str, str] = {}
    if not live.takes_over:
        versions = {CHAMPION: live.version, PREVIOUS: live.previous_version}
        versions[f"{CHAMPION}-{STAGING}"] = live.version if promoted else ""
    versions[f"{CHAMPION}-{PRODUCTION}"] = promoted.version if promoted else ""
    if (
        PREVIOUS in versions
        and live.previous_version
        and reader.version(live.registered_model, live.previous_version) is None
    ):
        versions[PREVIOUS] = ""
    champion = reader.version(live.registered_model, live.version)
    has_prompts = champion is not None and PROMPTS_TAG in champion.tags
    return _move(reader, live.name, live.registered_model, versions, has_prompts)


def _end_aliases(reader: Registry, model: str, registered_model: str) -> list[AliasChange]:
    """Take away what a model that is live has."""
    aliases = (CHAMPION, PREVIOUS, f"{CHAMPION}-{STAGING}", f"{CHAMPION}-{PRODUCTION}")
    return _move(reader, model, registered_model, dict.fromkeys(aliases, ""), has_prompts=True)


def _move(
    reader: Registry, model: str, registered_model: str, versions: Mapping[str, str], has_prompts: bool
) -> list[AliasChange]:
    """Move the registered model's aliases where they differ, then those of a language model's prompts to where its own
    are; versions: by alias, "" for none."""
    from delivery.registry.writes import move_alias

    def own_moves(alias: str, version: str) -> list[tuple[str, str, str]]:
        before = reader.aliases(registered_model).get(alias, "")
        return [(registered_model, before, version)] if before != version else []

    changes: list[AliasChange] = []
    for of_prompts in (False, True) if has_prompts else (False,):
        for alias, version in versions.items():
            moves = alias_moves(reader, registered_model, alias, version) if of_prompts else own_moves(alias, version)
            for name, before, after in moves:
                move_alias(reader.tracking_uri, name, alias, after, prompt=of_prompts)
                environment = "environment champion set" if "-" in alias else f"{alias} set"
                effect(f"prompt {alias.partition('-')[0]} set" if of_prompts else environment)
                changes.append(AliasChange(model, name, alias, before, after))
    return changes
