"""What a change takes away: a whole model, or all that one environment has of it, and never a part."""

import re

_OF_MODEL = re.compile(r"(models|environments/[^/]+)/([^/]+)/(?:inferenceservice|kustomization)\.yaml")


def removal_problem(path: str, before: set[str], after: set[str]) -> str:
    """Why a file may not be taken away, "" if it may.

    before, after: every path below models/ and environments/ at the two ends of the change. What was never a release,
    such as a folder of examples, is nobody's part.
    """
    match = _OF_MODEL.fullmatch(path)
    if not match or f"models/{match[2]}/inferenceservice.yaml" not in before:
        return ""
    place, name = match.groups()
    folders = rf"(models|environments/[^/]+)/{re.escape(name)}/.+" if place == "models" else rf"{place}/{name}/.+"
    rest = sorted(file for file in after if re.fullmatch(folders, file))
    if not rest:
        return ""
    return f"{name} can't be taken away by half: {rest[0]} stays. `ostinato retire {name}` takes all of it out"
