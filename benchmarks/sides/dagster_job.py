"""The steps as ops of a Dagster job: a process a step, what they return goes through Dagster's file store."""

import work
from dagster import job, op  # pyright: ignore[reportMissingImports]


@op
def preprocess() -> str:
    return work.preprocess()


@op
def train(data: str) -> str:
    return work.train(data)


@op
def champion(candidate: str) -> str:
    return work.champion(candidate)


@op
def evaluate(data: str, candidate: str, champion_version: str) -> str:
    return work.evaluate(data, candidate, champion_version)


@op
def register(data: str, candidate: str, judged: str) -> str:
    return work.register(data, candidate, judged)


@op
def deploy(version: str, judged: str) -> str:
    return work.deploy(version, judged)


@job
def continuous_training():
    data = preprocess()
    candidate = train(data)
    judged = evaluate(data, candidate, champion(candidate))
    deploy(register(data, candidate, judged), judged)
