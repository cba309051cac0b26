"""Promotion rules as code: `policy.yaml` of the manifests repository. Without the file, everything is allowed."""

from datetime import datetime
from typing import Any

import yaml
from pydantic import AwareDatetime, Field, ValidationError

from training.errors import InputError, did_you_mean
from training.spec.section import Duration, Frozen

POLICY_FILE = "policy.yaml"


class Skip(Frozen):
    """Who may let a release pass without one of the required checks."""

    check: str
    """As in `required_checks`."""
    by: tuple[str, ...] = Field(min_length=1)
    """Email addresses, as authors of commits have them."""
    until: AwareDatetime | None = None
    """From then on nobody may; without it there is no end."""


class Rules(Frozen):
    """What a version needs, to go live."""

    required_checks: tuple[str, ...] = ()
    """Names or kinds of checks that the verdict must have, and that must have passed, required by the spec or not."""
    skip: tuple[Skip, ...] = ()
    max_verdict_age: Duration | None = None
    """Since the version was registered with its verdict, such as `7d`."""
    cool_down: Duration | None = None
    """Between two releases of one model, such as `1h`."""
    releases_per_week: int | None = Field(None, ge=1)
    """Of one model, in any seven days."""
    require_signature: bool = False
    """Whether a version must be signed by the key that deploy and CI verify with."""

    def allows_skip(self, check: str, author: str, now: datetime) -> bool:
        return any(
            skip.check == check and author in skip.by and (skip.until is None or now < skip.until) for skip in self.skip
        )


class Policy(Rules):
    """The file: rules of every model, and under `models` what is otherwise for one."""

    models: dict[str, Rules] = {}

    def of(self, name: str) -> Rules:
        """The rules of a model: what its entry says, in the place of what is said for all."""
        rules = {key: value for key, value in self if key != "models"}
        own = self.models.get(name)
        changed = {key: getattr(own, key) for key in own.model_fields_set} if own else {}
        return Rules.model_construct(**{**rules, **changed})


def parse_policy(content: bytes | None, where: str = POLICY_FILE) -> Policy:
    """The policy of a file's bytes; None is one that allows everything.

    Raises InputError that lists every wrong field with its value and the fix.
    """
    try:
        raw = yaml.safe_load(content.decode()) if content is not None else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{where} is not YAML: {error}") from error
    if raw is not None and not isinstance(raw, dict):
        raise InputError(f"{where} holds {raw!r}; it must be a mapping, such as `cool_down: 1h`")
    try:
        return Policy.model_validate(raw or {})
    except ValidationError as error:
        raise InputError("\n".join(f"{where}: {_explain(problem)}" for problem in error.errors())) from error


def _explain(problem: Any) -> str:
    field = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"unknown key {field!r}. {did_you_mean(str(problem['loc'][-1]), Policy.model_fields)}"
    return f"{field}: {problem['msg'].removeprefix('Value error, ')} (got {problem['input']!r})"
