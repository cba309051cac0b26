from training.errors import InputError, did_you_mean

STEPS = ("preprocess", "train", "evaluate", "register", "deploy")
"""What `--until` may name, in order. The champion is fetched beside train, for evaluate."""


def check_step(name: str) -> str:
    """The step's name itself. Raises InputError for an unknown one."""
    if name not in STEPS:
        raise InputError(f"--until {name!r} is not a step. {did_you_mean(name, STEPS)}")
    return name
