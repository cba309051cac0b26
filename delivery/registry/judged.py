"""What a registered version should answer, read back from its run and held against the digests that lead to it."""

from dataclasses import dataclass

from delivery.documents.data_card import DATA_CARD_FILE, DataCard
from delivery.documents.sample import SAMPLE_FILE, Sample
from delivery.documents.verdict import Verdict
from delivery.registry.mlflow import mlflow_client, registry_errors
from delivery.registry.run_files import RunFiles
from delivery.registry.versions import VERDICT_DIGEST_TAG, ModelVersion
from training.errors import InputError, OstinatoError

VERDICT_FILE = "verdict.json"
Links = dict[str, tuple[str | None, str | None]]
"""Digest that was found and that was expected, by what has it."""


@dataclass(frozen=True)
class JudgedEvidence:
    """What a version was registered with."""

    verdict: Verdict
    card: DataCard | None
    """None if the run holds none, or one of other data."""
    experiment: str
    """Of the run, as the registry's pages address it."""


def fetch_judged(tracking_uri: str, version: ModelVersion) -> JudgedEvidence:
    """The verdict that a version was registered with, compared by digest, and its data card.

    Raises InputError for a version without one in its run, OstinatoError if the registry can't be read, or the verdict
    is not the one that the version was registered with.
    """
    called, files = _called(version), RunFiles(mlflow_client(tracking_uri), version.run_id)
    if files.get(VERDICT_FILE) is None:
        raise InputError(f"{called} has no {VERDICT_FILE} in its run {version.run_id or '(none)'}")
    verdict = files.document(Verdict, VERDICT_FILE)
    card = files.document(DataCard, DATA_CARD_FILE) if files.get(DATA_CARD_FILE) is not None else None
    with registry_errors(tracking_uri):
        experiment = files.client.get_run(version.run_id).info.experiment_id
    _check_links(_verdict_links(verdict, version), called)
    return JudgedEvidence(verdict, card if card and card.fingerprint == verdict.data_fingerprint else None, experiment)


def fetch_sample(tracking_uri: str, version: ModelVersion) -> Sample:
    """The sample that a version was proven with, after every digest from the version to it was compared.

    Raises InputError for a version from before there was a proof, OstinatoError if the registry can't be read, or a
    file is not the one that the version was registered with.
    """
    called, files = _called(version), RunFiles(mlflow_client(tracking_uri), version.run_id)
    missing = [name for name in (SAMPLE_FILE, VERDICT_FILE) if files.get(name) is None]
    if missing:
        raise InputError(
            f"{called} has no {' and no '.join(missing)} in its run {version.run_id or '(none)'}, so nobody knows what "
            "it should answer; versions that `ostinato run` registers have them"
        )
    verdict, sample = files.document(Verdict, VERDICT_FILE), files.document(Sample, SAMPLE_FILE)
    links = {
        **_verdict_links(verdict, version),
        "the sample": (sample.digest(), verdict.served.sample_digest if verdict.served else None),
        "the model of the sample": (sample.model_digest, version.digest),
    }
    _check_links(links, called)
    return sample


def _called(version: ModelVersion) -> str:
    return f"version {version.version} of {version.name}"


def _verdict_links(verdict: Verdict, version: ModelVersion) -> Links:
    judged = verdict.contender("candidate")
    return {
        "the verdict": (verdict.digest(), version.tags.get(VERDICT_DIGEST_TAG)),
        "the model of the verdict": (judged.digest if judged else None, version.digest),
    }


def _check_links(links: Links, called: str) -> None:
    for what, (actual, expected) in links.items():
        if actual != expected:
            raise OstinatoError(
                f"{what} in the run of {called} has digest {actual}, but {expected} was registered: somebody changed "
                "it; trust neither, and register the version again with `ostinato run`"
            )
