"""What the earlier steps hand to a release, made small: a spec, a data card, a verdict and a model folder."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from harness.verdicts import MAE, check, contender, data_card, verdict

from components.champion.steps import ComparedVersion, fetch_comparison
from components.register.steps import Candidate
from delivery.connections import Connections
from delivery.documents.data_card import DATA_CARD_FILE, TRAIN_FILE
from delivery.models.folder import model_digest
from training.spec import ModelSpec


def model_spec(name: str = "bike-demand", **overrides: Any) -> ModelSpec:
    columns = {"count": {"type": "int"}, "temp": {"type": "float", "unit": "degC"}, "ts": {"type": "datetime"}}
    raw: dict[str, Any] = {
        "name": name,
        "task": "regression",
        "description": "Bikes rented in an hour, for the people who move them.",
        "owner": "fleet@example.org",
        "data": {
            "source": "bikes.csv",
            "columns": columns,
            "target": "count",
            "time": "ts",
            "split": {"by": "time", "test": "4w"},
        },
        "training": {"hyperparameters": {"depth": 3}},
        "quality": {"metric": "mae", "checks": [{"kind": "absolute", "metric": "mae", "max": 70}]},
    }
    return ModelSpec.model_validate({**raw, **overrides})


def language_spec(name: str = "llm-qa", training: dict[str, Any] | None = None, **serving: Any) -> ModelSpec:
    """A language model's spec; ``serving`` goes over what huggingfaceserver needs."""
    runtime = {"runtime": "kserve-huggingfaceserver", "model_format": "huggingface", "protocol": "openai"}
    return ModelSpec.model_validate(
        {
            "name": name,
            "task": "generation",
            "description": "Answers questions about the product.",
            "data": {"kind": "conversations", "source": "qa.jsonl", "split": {"by": "key", "test": 0.1}},
            "training": {"base_model": {"source": "./base"}, **(training or {})},
            "quality": {"metric": "token_f1", "checks": [{"kind": "absolute", "metric": "token_f1", "min": 0.5}]},
            "serving": {**runtime, **serving},
        }
    )


def candidate(
    folder: Path, weight: int = 1, champion: str = "", model: str = "bike-demand", **judged: Any
) -> Candidate:
    """A candidate whose model digest depends on ``weight`` alone; for the rest see ``judge``."""
    files = Candidate(*(folder / name for name in ("data", "model", "verdict", "report", "evidently", "sample")))
    (files.model / "examples").mkdir(parents=True)
    (files.model / "MLmodel").write_text("flavors:\n  sklearn:\n    serialization_format: skops\n")
    (files.model / "model.skops").write_bytes(f"weights {weight}".encode() * 2000)
    (files.model / "examples" / "input.json").write_text('{"temp": [1.5]}')
    files.data.mkdir()
    data_card(model=model).write(files.data / DATA_CARD_FILE)
    # A file, and no call of Polars: a process that has used it must not fork, and tests of kills do.
    shutil.copyfile(Path(__file__).with_name("two_rows.parquet"), files.data / TRAIN_FILE)
    judge(files, weight, champion, model=model, **judged)
    files.report.write_text(f"<html>report {weight}</html>")
    files.evidently.write_text("<html>evidently</html>")
    files.sample.write_text(f'{{"weight": {weight}}}')
    return files


def language_candidate(folder: Path, weight: int = 1) -> Candidate:
    """A candidate of ``language_spec`` in Hugging Face's layout, with weights that no engine would take."""
    files = candidate(folder, weight, model="llm-qa")
    (files.model / "model.skops").unlink()
    (files.model / "MLmodel").write_text("flavors:\n  transformers:\n    task: text-generation\n")
    (files.model / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (files.model / "tokenizer_config.json").write_text("{}")
    (files.model / "chat_template.jinja").write_text("{{ messages }}")
    (files.model / "model.safetensors").write_bytes(f"weights {weight}".encode() * 2000)
    measured = (contender(digest=model_digest(files.model), token_f1=0.7),)
    judge(files, weight, model="llm-qa", task="generation", metric="token_f1", direction="higher", contenders=measured)
    return files


def judge(files: Candidate, weight: int = 1, champion: str = "", **fields: Any) -> None:
    """Write the verdict on the model folder as it is: its mae grows with the weight. champion: the live version."""
    mae = MAE + weight
    found = contender(digest=model_digest(files.model), mae=(mae, mae - 0.9, mae + 1.1))
    before = (contender("champion", "bike-demand", champion, mae=80.0),) if champion else ()
    made = {
        "contenders": (found, *before, contender("baseline", "seasonal naive", mae=107.4)),
        "checks": (check(observed=mae, reason=f"mae is {mae:.1f}, at most 70 is allowed"),),
    }
    verdict(**{**made, **fields}).write(files.verdict)


def bare_git(repository: Path, *arguments: str) -> str:
    """What git says about a repository on this machine."""
    done = subprocess.run(["git", f"--git-dir={repository}", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def fetch_champion(name: str, remote: str, out: Path) -> ComparedVersion | None:
    """What a new candidate, of another digest than the living champion, is compared with."""
    return fetch_comparison(name, Connections("", remote), out.parent / "a-new-candidate", out)
