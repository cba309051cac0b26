"""The test rows of a finished `ostinato run --until evaluate` with their predictions: RUN_FOLDER FILE.predictions."""

import json
import sys
from pathlib import Path


def output(run: Path, step: str, name: str) -> Path:
    """Where the newest attempt of a step has left an artifact."""
    result = max((run / step).glob("attempt-*/result.json"), key=lambda path: path.stat().st_mtime)
    return Path(json.loads(result.read_text())["outputs"]["artifacts"][name]["uri"])


def main(run: Path, file: Path) -> None:
    import pandas as pd

    from delivery.models.folder import load_model
    from training.folder import model_spec, workspace_root

    name = json.loads((run / "summary.json").read_text())["model"]
    rows = pd.read_parquet(output(run, "preprocess", "data") / "test.parquet")
    predictor = load_model(output(run, "train", "candidate"))
    target = rows[model_spec(workspace_root(), name).data.target]  # pyright: ignore[reportAttributeAccessIssue]
    pd.DataFrame({"target": target, "prediction": predictor.predict(rows)}).to_csv(file, index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
