"""Facts in a description: Kubeflow's runs, recurring runs and versions have no labels."""

from collections.abc import Mapping

from pipelines.backends.remote import PART_OF


def described(facts: Mapping[str, str]) -> str:
    """Facts without spaces as the text of a description, which says that it is ours."""
    return " ".join(f"{name}={value}" for name, value in {"part-of": PART_OF, **facts}.items())


def facts_of(description: str | None) -> dict[str, str]:
    """The facts of a description of ours; empty for another one."""
    words = (word.partition("=") for word in (description or "").split())
    facts = {name: value for name, _, value in words}
    return facts if facts.get("part-of") == PART_OF else {}
