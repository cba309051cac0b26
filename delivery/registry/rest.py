"""Reading an MLflow server's registry over its REST API (2.0), with the variables that MLflow's client honours."""

import os
from typing import TYPE_CHECKING, Any

from delivery.addresses import reason
from delivery.registry.versions import (
    DEFAULT_EXPERIMENT,
    ModelVersion,
    prompt_condition,
    registry_down,
    search_condition,
)
from delivery.retry import RetryPolicy, is_transient, retrying

if TYPE_CHECKING:
    import requests

CONNECT_S, READ_S = 5.0, 30.0
_MISSING = "RESOURCE_DOES_NOT_EXIST"


def rest_session() -> "requests.Session":
    """A session with the credentials and certificates that MLflow's variables name."""
    import requests

    session = requests.Session()
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user and password:
        session.auth = (user, password)
    elif token:
        session.headers["Authorization"] = f"Bearer {token}"
    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    session.verify = False if insecure else os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
    session.cert = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
    return session


def ask(session: "requests.Session", tracking_uri: str, path: str, **options: Any) -> "requests.Response":
    """The answer of an MLflow server, whatever its status. Raises OstinatoError if there is none."""
    import requests

    url = f"{tracking_uri.rstrip('/')}/api/2.0/{path}"
    try:
        return retrying(RetryPolicy(), is_transient)(session.get, url, timeout=(CONNECT_S, READ_S), **options)
    except requests.exceptions.RequestException as error:
        raise registry_down(tracking_uri, reason(error)) from error


class RestRegistry:
    """See :class:`delivery.registry.lookup.Registry`."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self.session = rest_session()

    def _get(self, path: str, **parameters: str | int) -> dict[str, Any] | None:
        """The answer's JSON; None when the thing asked for does not exist."""
        import requests

        answer = ask(self.session, self.tracking_uri, f"mlflow/{path}", params=parameters)
        try:
            body = answer.json()
        except requests.exceptions.JSONDecodeError as error:
            raise registry_down(self.tracking_uri, f"it answered HTTP {answer.status_code} with no JSON") from error
        if answer.ok:
            return body
        if body.get("error_code") == _MISSING:
            return None
        raise registry_down(
            self.tracking_uri, f"it answered HTTP {answer.status_code}: {body.get('message', '')[:200]}"
        )

    def aliases(self, name: str) -> dict[str, str]:
        answer = self._get("registered-models/get", name=name)
        listed = answer["registered_model"].get("aliases", []) if answer else []
        return {alias["alias"]: str(alias["version"]) for alias in listed}

    def version(self, name: str, version: str) -> ModelVersion | None:
        answer = self._get("model-versions/get", name=name, version=version) if version.isdecimal() else None
        return _version(answer["model_version"]) if answer else None

    def versions(self, name: str, digest: str = "") -> list[ModelVersion]:
        return self._search(search_condition(name, digest))

    def prompts(self, name: str) -> list[ModelVersion]:
        return self._search(prompt_condition(name))

    def _search(self, condition: str) -> list[ModelVersion]:
        versions, page = [], ""
        while True:
            answer = self._get("model-versions/search", filter=condition, max_results=1000, page_token=page) or {}
            versions += [_version(version) for version in answer.get("model_versions", [])]
            page = answer.get("next_page_token", "")
            if not page:
                return sorted(versions, key=lambda version: int(version.version))

    def storage_uri(self, name: str, version: str) -> str:
        answer = self._get("model-versions/get-download-uri", name=name, version=version)
        if answer is None:
            raise registry_down(self.tracking_uri, f"version {version} of {name} is gone")
        return answer["artifact_uri"]

    def artifact_root(self) -> str:
        answer = self._get("experiments/get", experiment_id=DEFAULT_EXPERIMENT)
        return answer["experiment"].get("artifact_location", "") if answer else ""


def _version(fields: dict[str, Any]) -> ModelVersion:
    tags = {tag["key"]: tag.get("value", "") for tag in fields.get("tags", [])}
    created = int(fields.get("creation_timestamp", 0))
    return ModelVersion(
        fields["name"], str(fields["version"]), fields.get("source", ""), fields.get("run_id", ""), tags, created
    )
