"""The steps as a ZenML pipeline on the local stack: one process, what they return goes through its artifact store."""

import work
from zenml import pipeline, step  # pyright: ignore[reportMissingImports]


@step
def preprocess() -> str:
    return work.preprocess()


@step
def train(data: str) -> str:
    return work.train(data)


@step
def champion(candidate: str) -> str:
    return work.champion(candidate)


@step
def evaluate(data: str, candidate: str, champion_version: str) -> str:
    return work.evaluate(data, candidate, champion_version)


@step
def register(data: str, candidate: str, judged: str) -> str:
    return work.register(data, candidate, judged)


@step
def deploy(version: str, judged: str) -> str:
    return work.deploy(version, judged)


@pipeline(enable_cache=False)
def continuous_training():
    data = preprocess()
    candidate = train(data)
    judged = evaluate(data, candidate, champion(candidate))
    deploy(register(data, candidate, judged), judged)


if __name__ == "__main__":
    continuous_training()
