"""Signing a version that was registered before there was a key, or with another one."""

import tempfile
from pathlib import Path

from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.registry.run_files import RunFiles
from delivery.registry.versions import known_version
from delivery.trust.attest import sign_version
from delivery.trust.release_check import fetch_problems, statement_problems, verdict_problems
from delivery.trust.statement import STATEMENT_FILE, STATEMENT_TAG, read_envelope
from training.errors import InputError, OstinatoError


def sign_registered(tracking_uri: str, name: str, version: str) -> bool:
    """Sign the version's files and its statement; whether anything was written.

    Raises InputError for an unknown version, one without a statement, or without a signing key; OstinatoError if its
    files, its statement or its verdict are not the registered ones: they are then not signed.
    """
    reader = registry(tracking_uri)
    registered = known_version(reader, name, version)
    if STATEMENT_TAG not in registered.tags:
        raise InputError(
            f"version {version} of {name} is from before there were statements, so there is nothing to sign"
        )
    files = RunFiles(mlflow_client(tracking_uri), registered.run_id)
    statement = files.get(STATEMENT_FILE)
    with tempfile.TemporaryDirectory(prefix="ostinato-trust-") as scratch:
        folder = Path(scratch)
        problems = fetch_problems(reader.storage_uri(name, version), folder, registered.digest, tracking_uri)
        problems += statement_problems(registered, statement, None) + verdict_problems(registered, files)
        if problems or statement is None:
            raise OstinatoError(
                f"version {version} of {name} is not what was registered, so it is not signed:"
                + "".join(f"\n  {problem}" for problem in problems)
            )
        return sign_version(files, read_envelope(statement)[0], folder)
