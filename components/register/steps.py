"""The register step: one model version for each model digest, with its evidence, and then the alias `candidate`.

Order of effects: run described and finished, model folder stored, then what is stated about it and the signature, the
prompts of a language model registered, version created with all its tags, leftovers of killed or racing attempts
deleted, `candidate` set, then on the prompts. The step may stop anywhere; run again, it goes on from there.
"""

from typing import TYPE_CHECKING

from components.register.model_card import model_card
from delivery.documents.data_card import DATA_CARD_FILE, DataCard
from delivery.documents.verdict import Verdict, check_decision
from delivery.effects import effect
from delivery.models.folder import model_digest
from delivery.models.language.language_model import read_facts
from delivery.registry.lookup import registry
from delivery.registry.mlflow import MISSING, RegistryRace, mlflow_client, registry_errors
from delivery.registry.prompts import alias_moves, prompt_tag
from delivery.registry.runs import (
    Candidate,
    delete_leftovers,
    ensure_experiment,
    ensure_model,
    ensure_run,
    facts_of_run,
    link_version,
)
from delivery.registry.versions import (
    CANDIDATE,
    CODE_TAG,
    DIGEST_TAG,
    FINGERPRINT_TAG,
    PROMPTS_TAG,
    RUN_TAG,
    SPEC_TAG,
    VERDICT_DIGEST_TAG,
    VERDICT_TAG,
    ModelVersion,
    Registry,
)
from delivery.registry.writes import RACES, ensure_registered_model, move_alias
from delivery.retry import retrying
from delivery.trust.attest import ensure_statement
from training.errors import OstinatoError
from training.spec import ModelSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient


def registered_facts(
    spec: str, tracking_uri: str, version: str, code_version: str, run: str, candidate: Candidate
) -> dict[str, str]:
    """What leads from the backend's UI to the version in the registry, and back to the commit."""
    name = ModelSpec.model_validate_json(spec).registered_name
    return {
        "version": version,
        "model_uri": f"models:/{name}/{version}",
        "registry": tracking_uri,
        "digest": model_digest(candidate.model),
        "verdict_digest": Verdict.read(candidate.verdict).digest(),
        "commit": code_version,
        "run": run,
    }


def register(spec: str, tracking_uri: str, code_version: str, run: str, candidate: Candidate) -> str:
    """The version of the candidate, registered unless its model digest already is; then `candidate` points at it.

    spec: the whole ModelSpec as JSON. code_version: git commit of the project, or "". run: the pipeline run's id.
    Raises GateRefused unless the verdict is a pass, OstinatoError if the registry can't be used or the verdict is on
    another model. When nothing is new, nothing is written and MLflow is not imported. A racing step that registered
    the same digest first may delete what this one was still writing; then its version is the one.
    """
    model = ModelSpec.model_validate_json(spec)
    verdict = Verdict.read(candidate.verdict)
    check_decision(verdict)
    digest = model_digest(candidate.model)
    judged = verdict.contender("candidate")
    if judged is None or judged.digest != digest:
        raise OstinatoError(
            f"the candidate's model digest is {digest}, but the verdict is on {judged.digest if judged else 'none'}; "
            "run the pipeline again from evaluate"
        )
    reader = registry(tracking_uri)
    known = reader.versions(model.registered_name, digest=digest)
    aliases = reader.aliases(model.registered_name)
    settled = len(known) == 1 and aliases.get(CANDIDATE) == known[0].version
    if settled and not _prompt_moves(reader, model.registered_name, known[0]):
        return known[0].version
    tags = {
        DIGEST_TAG: digest,
        FINGERPRINT_TAG: verdict.data_fingerprint,
        VERDICT_TAG: verdict.decision,
        VERDICT_DIGEST_TAG: verdict.digest(),
        CODE_TAG: code_version,
        RUN_TAG: run,
        SPEC_TAG: verdict.spec_digest,
    }
    kept = {key: value for key, value in tags.items() if value}
    version = _register_among_others(model, tracking_uri, verdict, kept, candidate)
    if registry(tracking_uri).aliases(model.registered_name).get(CANDIDATE) != version.version:
        move_alias(tracking_uri, model.registered_name, CANDIDATE, version.version)
        effect("candidate set")
    for prompt, _, prompt_version in _prompt_moves(registry(tracking_uri), model.registered_name, version):
        move_alias(tracking_uri, prompt, CANDIDATE, prompt_version, prompt=True)
        effect("prompt candidate set")
    return version.version


def _prompt_moves(reader: Registry, name: str, version: ModelVersion) -> list[tuple[str, str, str]]:
    """See :func:`alias_moves`; nothing is read for a model without prompts."""
    return alias_moves(reader, name, CANDIDATE, version.version) if PROMPTS_TAG in version.tags else []


def _register_among_others(
    spec: ModelSpec, tracking_uri: str, verdict: Verdict, tags: dict[str, str], files: Candidate
) -> ModelVersion:
    """Register, and again from the start when another writer made the same thing: whatever exists is then found."""

    def raced(outcome: object) -> bool:
        if isinstance(outcome, RegistryRace) or not isinstance(outcome, OstinatoError):
            return isinstance(outcome, RegistryRace)
        return bool(registry(tracking_uri).versions(spec.registered_name, tags[DIGEST_TAG]))

    return retrying(RACES, raced)(_register, spec, tracking_uri, verdict, tags, files)


def _register(
    spec: ModelSpec, tracking_uri: str, verdict: Verdict, tags: dict[str, str], files: Candidate
) -> ModelVersion:
    """The one version with the digest, made if there is none; leftovers of other attempts are deleted."""
    client = mlflow_client(tracking_uri)
    name, digest = spec.registered_name, tags[DIGEST_TAG]
    experiment = ensure_experiment(client, tracking_uri, name)
    with registry_errors(tracking_uri):
        if not registry(tracking_uri).versions(name, digest=digest):
            run_id = ensure_run(client, experiment, spec, verdict, tags, files)
            tags = facts_of_run(client, run_id, tags)
            model_id = ensure_model(client, experiment, run_id, spec, digest, files.model)
            stated = ensure_statement(client, run_id, name, tags, files)
            ensure_registered_model(client, tracking_uri, name, spec.description)
            if not registry(tracking_uri).versions(name, digest=digest):
                prompts = prompt_tag(client, tracking_uri, spec.name, files.model)
                card = model_card(spec, verdict, DataCard.read(files.data / DATA_CARD_FILE), read_facts(files.model))
                client.create_model_version(
                    name,
                    f"models:/{model_id}",
                    run_id,
                    {**tags, **stated, **prompts},
                    description=card,
                    model_id=model_id,
                )
                effect("version created")
        winner = _settle(client, tracking_uri, name, digest)
        with registry_errors(tracking_uri, fine=MISSING):
            link_version(client, winner)
        delete_leftovers(client, experiment, digest, winner.run_id, winner.source)
        effect("leftovers deleted")
    return winner


def _settle(client: "MlflowClient", tracking_uri: str, name: str, digest: str) -> ModelVersion:
    """Of several versions with one digest the lowest stays; the others are deleted unless an alias names them.

    Version numbers grow, so every process sees the lowest one as soon as it sees its own. No step ever returns
    another, and a release refuses one, so a manifest can't name what is deleted here.
    """
    reader = registry(tracking_uri)
    winner, *copies = reader.versions(name, digest=digest)
    for copy in copies:
        if copy.version not in reader.aliases(name).values():
            with registry_errors(tracking_uri, fine=MISSING):
                client.delete_model_version(name, copy.version)
    return winner
