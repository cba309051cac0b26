"""Answers a second: batches of similar length against one question at a time.

    python benchmarks/judging.py [--model FOLDER] [--questions 64] [--max-new-tokens 64] [--repeat 3]
        [--dtype float32] [--batch-tokens 16384] [--threads N] [--json FILE]

FOLDER is a language model in Hugging Face's layout with a chat template, the base model of llm-qa unless given. Both
sides use the same loaded model, the same questions, of mixed length, and the same greedy decoding; they take turns, and
each figure is the median of ``--repeat`` turns after one that is not counted. Runs on a GPU where there is one.

Another batch rounds otherwise, and a token that flips changes the rest of its answer. Such answers are counted; in
float32 more than 1 in 20 of them fails the run, since that would be no rounding.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frameworks import ROOT
from measure import machine, median, say, table, write_json

from components.evaluate.language.answer_prompts import BATCH_TOKENS, answer_all
from components.evaluate.language.questions import Messages
from delivery.models.language.language_model import LanguageModel, load_language_model
from delivery.stores.base_model import fetch_base_model
from training.folder import model_folder, model_spec
from training.spec import Decoding

TOPICS = ("a release", "a canary", "drift", "a registry", "a seasonal baseline", "a tokenizer", "rollback", "a queue")
FORMS = (
    "What is {}?",
    "Explain {} in one sentence.",
    "Write two sentences on {} for somebody who has never seen one, and give an example from daily life.",
    "Somebody on my team says that {} is not needed when the tests are good. I am not sure that this is right, since "
    "tests see what we thought of, and production sees the rest. List three reasons for it, and one against it.",
)
MOST_FLIPS = 0.05


@dataclass(frozen=True)
class Side:
    name: str
    batch_tokens: int


def questions(count: int) -> list[Messages]:
    """Mixed in length, each another one up to 32, then with a number."""
    asked = [form.format(topic) for topic in TOPICS for form in FORMS]
    many = [asked[i % len(asked)] + (f" ({i // len(asked) + 1})" if i >= len(asked) else "") for i in range(count)]
    return [[{"role": "user", "content": text}] for text in many]


def measure(model: LanguageModel, prompts: list[Messages], decoding: Decoding, sides: list[Side], repeat: int) -> Any:
    """Seconds of each side's turns and the answers of its last one, by name."""
    import torch

    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    answers: dict[str, list[str]] = {}
    for turn in range(repeat + 1):
        for side in sides:
            began = time.perf_counter()
            answers[side.name] = answer_all(model, prompts, decoding, side.batch_tokens)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            spent = time.perf_counter() - began
            say(f"{'warm-up' if turn == 0 else f'turn {turn}'}, {side.name}: {spent:.2f} s")
            if turn:
                seconds[side.name].append(spent)
    return seconds, answers


def base_model() -> Path:
    spec = model_spec(ROOT, "llm-qa").training.base_model
    assert spec
    return fetch_base_model(spec, model_folder(ROOT, "llm-qa"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers a second, batched against one by one.")
    parser.add_argument("--model", type=Path, help="a Hugging Face folder; the base model of llm-qa unless given")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dtype", default="float32", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    import torch

    if given.threads:
        torch.set_num_threads(given.threads)
    model = load_language_model(given.model or base_model(), given.dtype)
    net: Any = model.model
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    prompts, sides = questions(given.questions), [Side("one by one", 1), Side("batched", given.batch_tokens)]
    decoding = Decoding(max_new_tokens=given.max_new_tokens)
    seconds, answers = measure(model, prompts, decoding, sides, given.repeat)

    rates = {name: len(prompts) / median(spent) for name, spent in seconds.items()}
    flips = sum(one != other for one, other in zip(*answers.values(), strict=True))
    ratio = rates["batched"] / rates["one by one"]
    rows = [(name, f"{rate:.2f}", f"{median(seconds[name]):.2f}") for name, rate in rates.items()]
    print(f"{where}, {model.model.dtype}, {len(prompts)} questions, at most {given.max_new_tokens} tokens\n")
    print(table(("", "answers a second", "seconds"), rows))
    print(f"\nbatched is {ratio:.1f} times as fast; {flips} of {len(prompts)} answers differ by rounding")
    if given.json:
        found = {"device": where, "dtype": str(model.model.dtype), "questions": len(prompts), "flips": flips}
        write_json(given.json, {**found, "answers_per_second": rates, "ratio": ratio, "machine": machine()})
    if model.model.dtype == torch.float32 and flips > MOST_FLIPS * len(prompts):
        raise SystemExit(f"{flips} of {len(prompts)} answers differ in float32: that is no rounding")


if __name__ == "__main__":
    main()
