"""Writing to the model registry, through MLflow's client; every write is looked up before it is made."""

from typing import TYPE_CHECKING

from delivery.effects import effect
from delivery.registry.lookup import registry
from delivery.registry.mlflow import EXISTS, MISSING, RegistryRace, mlflow_client, registry_errors
from delivery.retry import RetryPolicy, raised, retrying

if TYPE_CHECKING:
    from mlflow import MlflowClient

RACES = RetryPolicy(attempts=5, pause_s=0.1)
"""How often a write is tried while other writers make the same thing."""


def ensure_registered_model(client: "MlflowClient", tracking_uri: str, name: str, description: str) -> None:
    """Make the registered model unless it exists."""
    with registry_errors(tracking_uri, fine=MISSING):
        client.get_registered_model(name)
        return
    with registry_errors(tracking_uri, fine=EXISTS):
        client.create_registered_model(name, description=description)
        effect("registered model created")


def move_alias(tracking_uri: str, name: str, alias: str, version: str, *, prompt: bool = False) -> None:
    """Point an alias of a model (or of a prompt) at a version, or remove it if the version is "".

    MLflow's SQL store fails, rather than overwrites, when two writers set a new alias at once: then the alias is
    read again, and set again unless it is right. Raises OstinatoError if the registry can't be used.
    """
    client = mlflow_client(tracking_uri)

    def move() -> None:
        try:
            with registry_errors(tracking_uri):
                if prompt and version:
                    client.set_prompt_alias(name, alias, int(version))
                elif prompt:
                    client.delete_prompt_alias(name, alias)
                elif version:
                    client.set_registered_model_alias(name, alias, version)
                else:
                    client.delete_registered_model_alias(name, alias)
        except RegistryRace:
            if registry(tracking_uri).aliases(name).get(alias, "") != version:
                raise

    retrying(RACES, raised(RegistryRace))(move)


def set_version_tag(tracking_uri: str, name: str, version: str, key: str, value: str) -> None:
    """Give a version a tag, or take it away if the value is "". Raises OstinatoError if the registry can't be used."""
    client = mlflow_client(tracking_uri)
    if value:
        with registry_errors(tracking_uri):
            client.set_model_version_tag(name, version, key, value)
    else:
        with registry_errors(tracking_uri, fine=MISSING):
            client.delete_model_version_tag(name, version, key)
