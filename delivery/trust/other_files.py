"""Other files of a change than manifests: whether one of them would serve another model than the manifests name.

Kustomize reads them, so they are read as YAML, and texts in them that are YAML themselves as well: an escape hides no
word.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

_FREE = re.compile(r"(examples|argocd)/.+")
"""Nothing reconciles the examples; argocd/ is applied by hand."""
_ANYWHERE = re.compile(r"storageUris?\b|/predictor/model|/model/uri|^baseRefs$")
_OF_MODELS = re.compile(r"^(initContainers|containers|transformer|explainer)$|/containers|/initContainers")
HOOK = re.compile(r"(argocd\.argoproj\.io|helm\.sh)(/|~1)hook")
"""Annotations of hooks, also as a JSON pointer writes them."""
HOOK_PROBLEM = "a hook that Argo CD's project does not allow never runs, though its Application is Synced and Healthy"
_RESOURCES = ("resources", "components", "bases", "patchesStrategicMerge", "crds", "generators", "transformers")
"""Keys of a kustomization that name other files."""


def other_file_problem(path: str, mode: str, content: bytes) -> str:
    """Why the file may not be there, "" if it may; mode: of git, such as 100644."""
    if mode == "120000":
        return "it is a link, so what it says is elsewhere"
    if not path.endswith((".yaml", ".yml", ".json")) or _FREE.fullmatch(path):
        return ""
    try:
        documents = list(yaml.safe_load_all(content.decode()))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"it is not YAML: {error}"
    of_models = path.startswith(("models/", "environments/"))
    for text in _texts(documents):
        if _ANYWHERE.search(text) or (of_models and _OF_MODELS.search(text)):
            return f"it says {text[:80]!r}, so another model might be served than the manifests name"
        if of_models and HOOK.search(text):
            return f"it says {text[:80]!r}: {HOOK_PROBLEM}"
    return _outside_resource(documents) if of_models else ""


def _outside_resource(documents: list[Any]) -> str:
    """A kustomization takes files of its own folder, of the model's, and nothing from elsewhere."""
    for document in documents:
        for key in _RESOURCES if isinstance(document, dict) else ():
            for resource in document.get(key) or ():
                if not re.fullmatch(r"[\w.-]+\.ya?ml|\.\./\.\./\.\./models/[a-z0-9-]+", str(resource)):
                    return f"{key} names {resource!r}, which is elsewhere"
    return ""


def _texts(part: Any, depth: int = 0) -> Iterator[str]:
    """Every key and text, and those of the YAML in a text."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield str(key)
            yield from _texts(value, depth)
    elif isinstance(part, list):
        for item in part:
            yield from _texts(item, depth)
    elif isinstance(part, str):
        yield part
        if depth < 3 and re.search(r"[:{\[]", part):
            try:
                inner = yaml.safe_load(part)
            except yaml.YAMLError:
                return
            if isinstance(inner, (dict, list)):
                yield from _texts(inner, depth + 1)
