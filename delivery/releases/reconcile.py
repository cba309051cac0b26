"""Reconcile: the registry's aliases follow git, never the other way round."""

from collections.abc import Mapping
from dataclasses import dataclass

from delivery.connections import Connections
from delivery.effects import effect
from delivery.git.repository import open_repository
from delivery.kserve.manifest import LiveModel
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

    A model that was promoted also has `champion-staging` and `champion-production`, by what each environment runs.

    Returns the changes; a second call returns none. Raises OstinatoError that lists every manifest that names
    a version which the registry lacks or knows with another digest, after the other models' aliases have followed.
    """
    reader = registry(connections.tracking_uri)
    changes: list[AliasChange] = []
    problems: list[str] = []
    owners: dict[str, str] = {}
    released, promoted, commit = _manifests(connections.manifests_remote)
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
            changes += _follow(connections.tracking_uri, reader, live, in_production)
    if problems:
        followed = "".join(
            f"\n  moved: {change.registered_model}@{change.alias} to {change.after or 'none'}" for change in changes
        )
        raise OstinatoError("aliases could not follow git:\n  " + "\n  ".join(problems) + followed)
    return changes


def _manifests(remote: str) -> tuple[dict[str, bytes], dict[str, bytes], str]:
    """Bytes of what is released and of what was promoted, by model name, and the commit they were read from."""
    production = f"environments/{PRODUCTION}"
    with open_repository(remote) as repository:
        snapshot = repository.snapshot()
        files = snapshot.read("models", production)
    manifests: dict[str, dict[str, bytes]] = {"models": {}, production: {}}
    for path, content in sorted(files.items()):
        folder, _, file = path.rpartition("/")
        where, _, name = folder.rpartition("/")
        if where in manifests and file == "inferenceservice.yaml":
            manifests[where][name] = content
    return manifests["models"], manifests[production], snapshot.commit


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


def _follow(tracking_uri: str, reader: Registry, live: LiveModel, promoted: LiveModel | None) -> list[AliasChange]:
    """Move the model's aliases where they differ; promoted: what production runs."""
    versions = {CHAMPION: live.version, PREVIOUS: live.previous_version}
    versions[f"{CHAMPION}-{STAGING}"] = live.version if promoted else ""
    versions[f"{CHAMPION}-{PRODUCTION}"] = promoted.version if promoted else ""
    if live.previous_version and reader.version(live.registered_model, live.previous_version) is None:
        versions[PREVIOUS] = ""
    changes: list[AliasChange] = []
    for alias, version in versions.items():
        before = reader.aliases(live.registered_model).get(alias, "")
        if before == version:
            continue
        from delivery.registry.writes import move_alias

        move_alias(tracking_uri, live.registered_model, alias, version)
        effect(f"{alias} set" if alias in (CHAMPION, PREVIOUS) else "environment champion set")
        changes.append(AliasChange(live.name, live.registered_model, alias, before, version))
    champion = reader.version(live.registered_model, live.version)
    if champion and PROMPTS_TAG in champion.tags:
        changes += _prompts_follow(tracking_uri, reader, live, versions)
    return changes


def _prompts_follow(
    tracking_uri: str, reader: Registry, live: LiveModel, versions: Mapping[str, str]
) -> list[AliasChange]:
    """Move the aliases of a language model's prompts to where its own are; versions: version of the model by alias."""
    changes: list[AliasChange] = []
    for alias, version in versions.items():
        for prompt, before, after in alias_moves(reader, live.registered_model, alias, version):
            from delivery.registry.writes import move_alias

            move_alias(tracking_uri, prompt, alias, after, prompt=True)
            effect(f"prompt {alias.partition('-')[0]} set")
            changes.append(AliasChange(live.name, prompt, alias, before, after))
    return changes
