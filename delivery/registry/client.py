"""Reading a registry with MLflow's own client, for stores that have no quicker way."""

from typing import TYPE_CHECKING

from delivery.registry.mlflow import MISSING, mlflow_client, registry_errors
from delivery.registry.versions import DEFAULT_EXPERIMENT, ModelVersion, prompt_condition, search_condition

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowModelVersion


class ClientRegistry:
    """See :class:`delivery.registry.lookup.Registry`."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self.client = mlflow_client(tracking_uri)

    def aliases(self, name: str) -> dict[str, str]:
        with registry_errors(self.tracking_uri, fine=MISSING):
            aliases = self.client.get_registered_model(name).aliases
            return {alias: str(version) for alias, version in aliases.items()}
        return {}

    def version(self, name: str, version: str) -> ModelVersion | None:
        with registry_errors(self.tracking_uri, fine=MISSING):
            return _version(self.client.get_model_version(name, version)) if version.isdecimal() else None
        return None

    def versions(self, name: str, digest: str = "") -> list[ModelVersion]:
        return self._search(search_condition(name, digest))

    def prompts(self, name: str) -> list[ModelVersion]:
        return self._search(prompt_condition(name))

    def _search(self, condition: str) -> list[ModelVersion]:
        versions, page = [], None
        with registry_errors(self.tracking_uri):
            while True:
                answer = self.client.search_model_versions(condition, max_results=1000, page_token=page)
                versions += [_version(version) for version in answer]
                page = answer.token
                if not page:
                    return sorted(versions, key=lambda version: int(version.version))

    def storage_uri(self, name: str, version: str) -> str:
        with registry_errors(self.tracking_uri):
            return self.client.get_model_version_download_uri(name, version)

    def artifact_root(self) -> str:
        with registry_errors(self.tracking_uri, fine=MISSING):
            return self.client.get_experiment(DEFAULT_EXPERIMENT).artifact_location
        return ""


def _version(version: "MlflowModelVersion") -> ModelVersion:
    created = int(version.creation_timestamp or 0)
    return ModelVersion(
        version.name, str(version.version), version.source or "", version.run_id or "", dict(version.tags), created
    )
