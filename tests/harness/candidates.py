"""What the earlier steps hand to a release, made small: a spec, a data card, a verdict and a model folder."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from components.champion.steps import ComparedVersion, fetch_comparison
from components.register.steps import Candidate
from delivery.connections import Connections
from delivery.documents.data_card import DATA_CARD_FILE, TRAIN_FILE, CardPart, ColumnCard, DataCard
from delivery.documents.verdict import CheckResult, Contender, Measure, Verdict
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
    folder: Path, weight: int = 1, decision: str = "pass", model: str = "bike-demand", champion: str = ""
) -> Candidate:
    """A candidate whose model digest depends on ``weight`` alone, judged against the version ``champion``."""
    files = Candidate(*(folder / name for name in ("data", "model", "verdict", "report", "evidently", "sample")))
    (files.model / "examples").mkdir(parents=True)
    (files.model / "MLmodel").write_text("flavors:\n  sklearn:\n    serialization_format: skops\n")
    (files.model / "model.skops").write_bytes(f"weights {weight}".encode() * 2000)
    (files.model / "examples" / "input.json").write_text('{"temp": [1.5]}')
    files.data.mkdir()
    card = DataCard(
        model=model,
        source="https://example.org/bikes.csv",
        snapshot="sha256:" + "1" * 64,
        fingerprint="sha256:" + "2" * 64,
        split="by time, the last 4w",
        columns=(
            ColumnCard(name="count", dtype="Int64", role="target", nulls=0),
            ColumnCard(name="temp", dtype="Float64", role="input", unit="degC", nulls=0),
        ),
        train=CardPart(rows=900, sha256="3" * 64),
        test=CardPart(rows=100, sha256="4" * 64),
        refused=3,
        refused_by_reason={"temp: not a number": 3},
    )
    card.write(files.data / DATA_CARD_FILE)
    # A file, and no call of Polars: a process that has used it must not fork, and tests of kills do.
    shutil.copyfile(Path(__file__).with_name("two_rows.parquet"), files.data / TRAIN_FILE)
    verdict(files, weight, decision, model, champion).write(files.verdict)
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
    judged = verdict(files, weight, "pass", "llm-qa")
    measured = judged.contenders[0].model_copy(update={"metrics": {"token_f1": Measure(value=0.7)}})
    about = {"task": "generation", "metric": "token_f1", "direction": "higher", "contenders": (measured,)}
    judged.model_copy(update=about).write(files.verdict)
    return files


def verdict(files: Candidate, weight: int, decision: str, model: str, champion: str = "") -> Verdict:
    passed = decision == "pass"
    metrics = {"mae": Measure(value=80.0)}
    champion_contender = (
        (Contender(role="champion", name=model, version=champion, metrics=metrics),) if champion else ()
    )
    return Verdict(
        model=model,
        task="regression",
        decision="pass" if passed else "reject",
        metric="mae",
        direction="lower",
        confidence=0.95,
        rows=100,
        sample_rows=100,
        contenders=(
            Contender(
                role="candidate",
                name="candidate",
                digest=model_digest(files.model),
                metrics={"mae": Measure(value=66.9 + weight, low=66.0 + weight, high=68.0 + weight)},
            ),
            *champion_contender,
            Contender(role="baseline", name="seasonal naive", metrics={"mae": Measure(value=107.4)}),
        ),
        differences={},
        checks=(
            CheckResult(
                name="mae",
                kind="absolute",
                metric="mae",
                observed=66.9 + weight,
                bound=70,
                comparison="<=",
                status="passed" if passed else "failed",
                required=True,
                reason=f"mae is {66.9 + weight:.1f}, at most 70 is allowed",
            ),
        ),
        data_fingerprint="sha256:" + "2" * 64,
        spec_digest="sha256:" + "5" * 64,
        code="sha256:" + "6" * 64,
    )


def bare_git(repository: Path, *arguments: str) -> str:
    """What git says about a repository on this machine."""
    done = subprocess.run(["git", f"--git-dir={repository}", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def fetch_champion(name: str, remote: str, out: Path) -> ComparedVersion | None:
    """What a new candidate, of another digest than the living champion, is compared with."""
    return fetch_comparison(name, Connections("", remote), out.parent / "a-new-candidate", out)
