"""The steps as Kedro nodes, run one after the other in one process; what they return is kept in memory."""

import work
from kedro.io import DataCatalog  # pyright: ignore[reportMissingImports]
from kedro.pipeline import node, pipeline  # pyright: ignore[reportMissingImports]
from kedro.runner import SequentialRunner  # pyright: ignore[reportMissingImports]

steps = pipeline(
    [
        node(work.preprocess, None, "data"),
        node(work.train, "data", "candidate"),
        node(work.champion, "candidate", "champion_version"),
        node(work.evaluate, ["data", "candidate", "champion_version"], "judged"),
        node(work.register, ["data", "candidate", "judged"], "version"),
        node(work.deploy, ["version", "judged"], "commit"),
    ]
)

if __name__ == "__main__":
    print(SequentialRunner().run(steps, DataCatalog()))
