"""A case to judge: a dozen questions, and small models that learned their answers, those of others, or none."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from harness.tiny_models import tiny_model
from harness.verdicts import data_card

from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
from delivery.documents.data_card import CardPart, ColumnCard
from delivery.documents.verdict import Verdict
from training.spec import BaseModelSpec, ConversationSpec, QualitySpec, ServingSpec

ANSWERS = {
    "What is an ostinato?": ("A phrase that repeats and carries the piece.", "music"),
    "Who wrote the Bolero?": ("Maurice Ravel wrote it in 1928.", "music"),
    "How many strings has a violin?": ("It has four strings.", "music"),
    "What is a fugue?": ("Voices that follow one theme.", "music"),
    "What does forte mean?": ("Play it loud.", "music"),
    "What is the tempo called andante?": ("At a walking pace.", "music"),
    "Where does a release begin?": ("With a commit to the manifests.", "release"),
    "How is a release undone?": ("Revert the commit that made it.", "release"),
    "Who decides what is live?": ("Git alone decides.", "release"),
    "What does the gate write?": ("A verdict with every check.", "release"),
    "When is a champion replaced?": ("When a candidate passes the gate.", "release"),
    "What is a canary?": ("A version with a share of the requests.", "release"),
}
METRIC = "token_f1"


def conversation(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def learn(folder: Path, conversations: list[list[dict[str, str]]], steps: int) -> None:
    """A plain loop over all conversations at once, loss on every token, until they are known by heart."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    rows = [tokenizer.apply_chat_template(one, return_dict=False) for one in conversations]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


@dataclass(frozen=True)
class Models:
    base: Path
    good: Path
    """Knows every answer."""
    shuffled: Path
    """Learned another question's answer to each."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    texts = [text for question, (answer, _) in ANSWERS.items() for text in (question, answer)]
    good = [conversation(question, answer) for question, (answer, _) in ANSWERS.items()]
    others = [answer for answer, _ in ANSWERS.values()]
    bad = [conversation(q, others[(i + 5) % len(others)]) for i, q in enumerate(ANSWERS)]
    folders = {name: tiny_model(root / name, texts) for name in ("base", "good", "shuffled")}
    learn(folders["good"], good, 90)
    learn(folders["shuffled"], bad, 90)
    return Models(**folders)


@dataclass(frozen=True)
class Case:
    """Everything that ``evaluate_task`` takes; ``run`` calls it."""

    root: Path
    models: Models

    @property
    def ids(self) -> list[str]:
        return pl.read_parquet(self.root / "data" / "test.parquet")["id"].to_list()

    def write(self, conversations: list[list[dict[str, str]]], topics: list[str]) -> None:
        folder = self.root / "data"
        folder.mkdir(exist_ok=True)
        ids = [hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:16] for one in conversations]
        rows = pl.DataFrame({"id": ids, "messages": conversations, "topic": topics})
        parts = {}
        for name in ("train", "test"):
            rows.write_parquet(folder / f"{name}.parquet")
            digest = hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest()
            parts[name] = CardPart(rows=len(rows), sha256=digest)
        columns = (
            ColumnCard(name="id", dtype="String", role="key", nulls=0),
            ColumnCard(name="messages", dtype="List", role="target", nulls=0),
            ColumnCard(name="topic", dtype="String", role="input", nulls=0),
        )
        data_card(model="a-model", source="questions.jsonl", columns=columns, **parts).write(folder / "data.json")

    def given(self, candidate: Path, champion: Path | None = None, **quality: Any) -> dict[str, Any]:
        """The step's inputs."""
        spec = {"metric": METRIC, "decoding": {"max_new_tokens": 24}, **quality}
        serving = {"protocol": "openai", "runtime": "kserve-huggingfaceserver", "model_format": "huggingface"}
        serving |= {"engine": {"dtype": "float32"}}
        return {
            "model": "a-model",
            "task": "generation",
            "data_spec": ConversationSpec(
                kind="conversations", source="q.jsonl", test="t.jsonl", labels=("topic",)
            ).canonical_json(),
            "quality_spec": QualitySpec.model_validate(spec).canonical_json(),
            "serving_spec": ServingSpec.model_validate(serving).proven_json(),
            "base_model": BaseModelSpec(source=str(self.models.base)).canonical_json(),
            "champion_version": "7" if champion else "",
            "spec_digest": "sha256:spec",
            "code": "sha256:code",
            "data": self.root / "data",
            "candidate": candidate,
            "champion": champion or self.root / "no-champion",
        }

    def run(self, candidate: Path, champion: Path | None = None, **quality: Any) -> Verdict:
        from components.evaluate.steps import evaluate_task

        names = ("verdict.json", "report.html", "evidently.html", "sample.json")
        outputs = EvaluateOutputs(*(self.root / name for name in names))
        return evaluate_task(EvaluateInputs(**self.given(candidate, champion, **quality)), outputs)[0]


def make_case(root: Path, models: Models) -> Case:
    """A workspace with a model folder, and the dozen questions as its data."""
    folder = root / "training" / "a_model"
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text("name: a-model\n")
    case = Case(root, models)
    case.write([conversation(q, a) for q, (a, _) in ANSWERS.items()], [topic for _, topic in ANSWERS.values()])
    return case


@pytest.fixture
def case(tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(tmp_path))
    return make_case(tmp_path, models)


CHECKS = [
    {"kind": "absolute", "metric": "token_f1", "min": 0.8},
    {"kind": "champion", "metric": "token_f1", "margin": 0.02},
    {"kind": "baseline", "metric": "rouge_l", "margin": -0.2},
    {"kind": "slice", "column": "topic", "metric": "rouge_l", "min": 0.5, "min_rows": 3},
    {"kind": "length", "max_words": 30},
    {"kind": "forbidden", "patterns": ["(?i)password"]},
    {"kind": "refusals", "max_share": 0.1},
    {"kind": "format", "pattern": r".*\."},
]


@dataclass(frozen=True)
class Judged:
    case: Case
    verdict: Verdict

    def status(self, name: str) -> str:
        return next(check.status for check in self.verdict.checks if check.name == name)

    @property
    def page(self) -> str:
        return (self.case.root / "report.html").read_text()


def _judged(root: Path, models: Models, candidate: Path, champion: Path | None) -> Judged:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSTINATO_WORKSPACE", str(root))
        case = make_case(root, models)
        return Judged(case, case.run(candidate, champion, checks=CHECKS, baseline={"kind": "base_model"}))


@pytest.fixture(scope="session")
def better(tmp_path_factory: pytest.TempPathFactory, models: Models) -> Judged:
    """The good one against a champion that learned shuffled answers."""
    return _judged(tmp_path_factory.mktemp("better"), models, models.good, models.shuffled)


@pytest.fixture(scope="session")
def worse(tmp_path_factory: pytest.TempPathFactory, models: Models) -> Judged:
    """One that learned shuffled answers against the good one."""
    return _judged(tmp_path_factory.mktemp("worse"), models, models.shuffled, models.good)
