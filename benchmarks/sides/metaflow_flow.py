"""The steps as a Metaflow flow: a process a step, what they return is kept in Metaflow's local datastore."""

import work
from metaflow import FlowSpec, step  # pyright: ignore[reportMissingImports]


class ContinuousTraining(FlowSpec):
    @step
    def start(self):
        self.data = work.preprocess()
        self.next(self.train)

    @step
    def train(self):
        self.candidate = work.train(self.data)
        self.next(self.champion)

    @step
    def champion(self):
        self.champion_version = work.champion(self.candidate)
        self.next(self.evaluate)

    @step
    def evaluate(self):
        self.judged = work.evaluate(self.data, self.candidate, self.champion_version)
        self.next(self.register)

    @step
    def register(self):
        self.version = work.register(self.data, self.candidate, self.judged)
        self.next(self.end)

    @step
    def end(self):
        self.commit = work.deploy(self.version, self.judged)


if __name__ == "__main__":
    ContinuousTraining()
