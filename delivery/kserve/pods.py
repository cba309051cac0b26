"""What pods have whichever resource of KServe's makes them: where they run, and their environment."""

from collections.abc import Mapping

from delivery.kserve.documents import Document
from training.spec.serving import ServingSpec


def placement(serving: ServingSpec) -> Document:
    """Which nodes may run the pods, and which registries they may pull from."""
    fields: Document = {}
    if serving.image_pull_secrets:
        fields["imagePullSecrets"] = [{"name": name} for name in serving.image_pull_secrets]
    if serving.node_selector:
        fields["nodeSelector"] = dict(sorted(serving.node_selector.items()))
    if serving.tolerations:
        fields["tolerations"] = [
            _toleration(tolerated.key, tolerated.value, tolerated.effect) for tolerated in serving.tolerations
        ]
    return fields


def environment_entries(serving: ServingSpec, ours: Mapping[str, str]) -> list[Document]:
    """Our variables, and those that the spec takes from Secrets, which win over ours of the same name."""
    entries: list[Document] = [
        {"name": name, "value": value} for name, value in ours.items() if name not in serving.secret_env
    ]
    for name, key in sorted(serving.secret_env.items()):
        entries.append({"name": name, "valueFrom": {"secretKeyRef": {"name": key.secret, "key": key.key}}})
    return entries


def _toleration(key: str, value: str, effect: str) -> Document:
    match = {"operator": "Equal", "value": value} if value else {"operator": "Exists"}
    return {"key": key, **match, "effect": effect}
