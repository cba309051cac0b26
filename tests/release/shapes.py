"""The shapes of docs/how-to/serving.md: what a spec says of serving, and the manifest that the page shows for it."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from harness.command_line import ROOT
from harness.registered import served

from delivery.kserve.canary import with_canary
from delivery.kserve.changes import with_shadow
from delivery.kserve.documents import Document, from_bytes, of_kind
from delivery.kserve.manifest import Manifest
from delivery.kserve.render import render
from training.spec import ModelSpec, load_spec

PAGE = ROOT / "docs" / "how-to" / "serving.md"
NAME = "demand-forecaster"
LLM = "llm-qa"
_BLOCK = re.compile(r"(?:<!-- (whole|release|canary|shadow)( llm-qa)? -->\n)?```yaml\n(.*?)```\n", re.DOTALL)


@dataclass(frozen=True)
class Shape:
    """One section of the page."""

    title: str
    kind: str
    """`whole` and `release`: version 3 after 2. `canary` and `shadow`: version 4 beside that."""
    model: str
    """Its name: the page shows the manifests of two models."""
    says: dict[str, Any]
    """What the spec has in this section, besides what the model's first one has."""
    shown: str

    def spec(self, **overrides: Any) -> ModelSpec:
        raw = _first_spec(self.model)
        for section, fields in {**self.says, "serving": {**self.says.get("serving", {}), **overrides}}.items():
            raw[section] = {**raw[section], **fields} if isinstance(fields, dict) else fields
        return ModelSpec.model_validate(raw)

    def manifest(self, **overrides: Any) -> Manifest:
        spec = self.spec(**overrides)
        stable = render(spec, served("3"), "2")
        if self.kind == "canary":
            return with_canary(spec, stable, served("4"), 10)
        if self.kind == "shadow":
            return with_shadow(spec, stable, served("4"))
        return stable

    def rendered(self, **overrides: Any) -> bytes:
        """The whole file."""
        return self.manifest(**overrides).content

    @property
    def marker(self) -> str:
        return self.kind if self.model == NAME else f"{self.kind} {self.model}"

    def excerpt(self) -> str:
        """What the page shows: the file, or what it has that the plain one has not."""
        content = self.rendered()
        if self.kind == "whole":
            return content.decode()
        plain = from_bytes(Shape("", "release", self.model, {}, "").rendered())
        parts = [_apart(one, of_kind(plain, one["kind"], one["metadata"]["name"])) for one in from_bytes(content)]
        return "---\n".join(yaml.safe_dump(one, sort_keys=False, width=10_000) for one in parts if one)


@cache
def shapes() -> list[Shape]:
    """Every section of the page that has an example, in order."""
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = _BLOCK.findall(section)
        if blocks:
            (_, _, spec), (kind, model, shown) = blocks
            title = section.partition("\n")[0]
            found.append(Shape(title, kind, model.strip() or NAME, yaml.safe_load(spec), shown))
    return found


def _first_spec(model: str) -> dict[str, Any]:
    """The spec that the model's first section shows; the page says of the table's model only how it is served."""
    if model == NAME:
        return {**load_spec(ROOT / "training" / "demand_forecaster" / "spec.yaml").model_dump(), "serving": {}}
    return dict(next(one.says for one in shapes() if one.kind == "whole" and one.model == model))


def write_page() -> None:
    """Put what is rendered now in place of what the page shows."""
    text = PAGE.read_text(encoding="utf-8")
    for shape in shapes():
        before, title, after = text.partition(f"\n## {shape.title}\n")
        old, new = (f"<!-- {shape.marker} -->\n```yaml\n{one}```" for one in (shape.shown, shape.excerpt()))
        text = before + title + after.replace(old, new, 1)
    PAGE.write_text(text, encoding="utf-8")


def _apart(document: Document, plain: Document | None) -> Document:
    """The kind, the name and every field that the plain document has not, or has with another value; {} for none.

    A document that the plain file has not is shown whole.
    """
    if plain is None:
        return document
    apart = _difference(document, plain)
    if not apart:
        return {}
    shown = {"kind": document["kind"], "metadata": {"name": document["metadata"]["name"]}}
    return {**shown, **apart, "metadata": {**shown["metadata"], **apart.get("metadata", {})}}


def _difference(value: Document, plain: Document) -> Document:
    found = {}
    for key, one in value.items():
        other = plain.get(key)
        inner = _difference(one, other) if isinstance(one, dict) and isinstance(other, dict) else one
        if one != other and inner != {}:
            found[key] = inner
    return found
