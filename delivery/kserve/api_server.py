"""Reading from a Kubernetes API server, with the official client."""

import os
from pathlib import Path
from typing import Any

from delivery.kserve.documents import Document
from training.errors import InputError, OstinatoError

CONNECT_S, READ_S = 5.0, 20.0
_GROUP = "serving.kserve.io"
_RESOURCES = (("v1beta1", "inferenceservices"), ("v1alpha2", "llminferenceservices"))
"""Versions that manifests name, with the resource's name."""


class ReadForbidden(OstinatoError):
    """The account of the kubeconfig may not read what is at a path, which is the message."""


class ApiServer:
    """The cluster of the current context of a kubeconfig, or the one that this process runs in.

    Raises InputError where neither is there, or the kubeconfig can't be used.
    """

    def __init__(self) -> None:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
        from yaml import YAMLError

        configuration: Any = client.Configuration()
        files = os.environ.get("KUBECONFIG") or "~/.kube/config"
        try:
            if any(Path(file).expanduser().is_file() for file in files.split(os.pathsep)):
                config.load_kube_config(files, client_configuration=configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)
        except (ConfigException, YAMLError) as error:
            why = " ".join(str(error).split())
            raise InputError(
                f"no cluster can be asked: there is no kubeconfig that can be used ({why}). Set KUBECONFIG to the file "
                "that kubectl uses, or run inside the cluster; `kubectl config current-context` shows what is chosen"
            ) from error
        configuration.retries = False
        self.address = str(configuration.host)
        self._client: Any = client.ApiClient(configuration)

    def services(self, namespace: str) -> list[Document]:
        """Every InferenceService and LLMInferenceService of a namespace, as the API server gives them.

        Raises OstinatoError if it does not answer, refuses, or knows no InferenceService.
        """
        services: list[Document] = []
        for version, resource in _RESOURCES:
            services += self._list(namespace, version, resource)
        return services

    def read(self, path: str) -> Document | None:
        """What the API has at a path, such as ``/api/v1/namespaces/models``; None where there is nothing.

        Raises ReadForbidden where the account may not read it, and OstinatoError if there is no answer or another one.
        """
        from kubernetes.client import ApiException

        try:
            return self._get(path)
        except ApiException as error:
            if error.status == 404:
                return None
            if error.status == 403:
                raise ReadForbidden(path) from error
            raise self._refused(error.status, error.reason, path, "") from error

    def _list(self, namespace: str, version: str, resource: str) -> list[Document]:
        from kubernetes.client import ApiException

        try:
            answer = self._get(f"/apis/{_GROUP}/{version}/namespaces/{namespace}/{resource}")
        except ApiException as error:
            if error.status == 404 and resource != "inferenceservices":
                return []  # the chart for language models is not installed
            raise self._refused(error.status, error.reason, resource, namespace) from error
        return list(answer["items"])

    def _get(self, path: str) -> Document:
        from urllib3.exceptions import HTTPError

        try:
            return self._client.call_api(
                path,
                "GET",
                header_params={"Accept": "application/json"},
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=(CONNECT_S, READ_S),
            )
        except HTTPError as error:
            raise OstinatoError(
                f"the API server {self.address} does not answer: {error}. Look at the network and at "
                "`kubectl config current-context`, then run again"
            ) from error

    def _refused(self, status: int | None, reason: str | None, subject: str, namespace: str) -> OstinatoError:
        fixes = {
            401: "log in again, as for kubectl",
            403: f"you need the verb list on {subject}.{_GROUP} in namespace {namespace}",
            404: "KServe is not installed there; `kubectl config current-context` shows which cluster that is",
        }
        fix = fixes.get(status or 0, "run again; the log of the API server says more")
        return OstinatoError(f"the API server {self.address} answers {status} {reason or ''} for {subject}: {fix}")
