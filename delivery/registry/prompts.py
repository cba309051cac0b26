"""The prompts of a language model in MLflow's prompt registry: one version for each text, found before it is made.

A prompt is a registered model of a kind of its own there, and its versions have the text as a tag. The version of the
model says in its tag ``ostinato.prompts`` which versions of the prompts it has; the aliases of the prompts are those
of the model. https://mlflow.org/docs/latest/genai/prompt-registry
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.effects import effect
from delivery.models.language.language_model import is_language_model
from delivery.models.language.prompts import read_prompts, registered_name
from delivery.registry.lookup import registry
from delivery.registry.versions import MODEL_TAG, PROMPT_DIGEST_TAG, PROMPTS_TAG, ModelVersion, Registry
from training.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def prompt_tag(client: "MlflowClient", tracking_uri: str, model: str, folder: Path) -> dict[str, str]:
    """The tag for a model version with the versions of its prompts, which are registered unless they are.

    folder: the model folder; nothing for one that is no language model's. Raises InputError for a prompt whose name
    something else has in the registry, OstinatoError if the registry can't be used.
    """
    if not is_language_model(folder):
        return {}
    versions = {}
    for path, text in read_prompts(folder).items():
        name = registered_name(model, path)
        versions[name] = _ensure_version(client, tracking_uri, name, model, text, f"prompts/{path} of {model}")
    return {PROMPTS_TAG: json.dumps(versions, sort_keys=True)}


def _ensure_version(
    client: "MlflowClient", tracking_uri: str, name: str, model: str, text: str, description: str
) -> str:
    """The version of a prompt with this text, made if there is none.

    Of several, made by racing processes, the lowest stays: every process sees it as soon as it sees its own.
    """
    from delivery.registry.mlflow import EXISTS, MISSING, registry_errors

    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    reader = registry(tracking_uri)
    versions = _versions(reader, name, model, digest)
    if not versions:
        with registry_errors(tracking_uri, fine=EXISTS):
            if client.get_prompt(name) is None:
                client.create_prompt(name, description)
                effect("prompt created")
        with registry_errors(tracking_uri):
            if client.get_prompt(name) is None:
                raise InputError(
                    f"the prompt {name!r} can't be registered: a registered model has that name. Rename the prompt's "
                    "file, or that model"
                )
            client.create_prompt_version(name, text, description, {PROMPT_DIGEST_TAG: digest, MODEL_TAG: model})
        effect("prompt version created")
        versions = _versions(reader, name, model, digest)
    winner, *copies = versions
    for copy in copies:
        if copy.version not in reader.aliases(name).values():
            with registry_errors(tracking_uri, fine=MISSING):
                client.delete_prompt_version(name, copy.version)
    return winner.version


def _versions(reader: Registry, name: str, model: str, digest: str) -> list[ModelVersion]:
    """Versions of a prompt with the digest, oldest first. Raises InputError if another model registered it."""
    known = reader.prompts(name)
    others = {prompt.tags[MODEL_TAG] for prompt in known if MODEL_TAG in prompt.tags} - {model}
    if others:
        raise InputError(
            f"the prompt {name!r} in the registry belongs to the model {sorted(others)[0]}; rename the prompt's file"
        )
    return [prompt for prompt in known if prompt.tags.get(PROMPT_DIGEST_TAG) == digest]


def alias_moves(reader: Registry, model: str, alias: str, version: str) -> list[tuple[str, str, str]]:
    """What to change so that an alias of the model's prompts says what the model's version has: (prompt, version now,
    version then), "" for none.

    model: the registered model's name. version: where the model's own alias is, "" for nowhere. A prompt that only
    other versions have loses the alias.
    """
    versions = reader.versions(model)
    by_version = {registered.version: json.loads(registered.tags.get(PROMPTS_TAG, "{}")) for registered in versions}
    target = by_version.get(version, {})
    moves = []
    for name in sorted({name for prompts in by_version.values() for name in prompts}):
        before, after = reader.aliases(name).get(alias, ""), target.get(name, "")
        if before != after:
            moves.append((name, before, after))
    return moves
