"""Training speed: our fine-tuning against the transformers Trainer's defaults and a hand-written loop.

    python benchmarks/finetuning.py [--model FOLDER] [--steps 12] [--batch 16] [--repeat 3] [--json FILE]

Every figure is of a fresh process; the contestants take turns. All train all weights of the same model on the same
conversations of mixed length, in the same order, with AdamW, and count the same tokens: those that are no padding. The
first two steps are not counted.

- ours: `fine_tune` with its defaults but for method full.
- trainer: transformers' Trainer as its documentation shows it, with every default but the batch size.
- loop: PyTorch by hand with all tricks of ours: packed rows, bf16, the output layer for answers alone, fused AdamW.

Without --model a Llama of some 8 M parameters is made from a configuration. The device is a GPU where one is visible.
Model FLOPs utilisation is 6 N FLOPs a token (N parameters; Kaplan et al. 2020, arXiv:2001.08361, table 1; the ratio as
in Chowdhery et al. 2022, arXiv:2204.02311, appendix B, without its term for attention) over the peak of a measured
matrix product in the precision of the contestant. Prints Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure import say, table, write_json

ROOT = Path(__file__).parents[1]
WARM_UP = 2
SEED = 0
WORDS = ("data", "model", "train", "serve", "gate", "drift", "commit", "version", "release", "champion", "spec", "step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a Hugging Face folder with a chat template")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16, help="conversations of a step")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--worker", choices=sorted(WORKERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(WORKERS[given.worker](given.model, given.steps, given.batch)))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as root:
        model = given.model.absolute() if given.model else make_model(Path(root) / "model")
        facts = measure("facts", model, given)
        runs: dict[str, list[float]] = {name: [] for name in ("ours", "trainer", "loop")}
        for turn in range(given.repeat):
            for name, figures in runs.items():
                figures.append(measure(name, model, given)["tokens_per_s"])
                say(f"{turn + 1}/{given.repeat} {name}: {figures[-1]:,.0f} tokens/s")
    found = {**facts, "load": load, "tokens_per_s": {name: statistics.median(all_) for name, all_ in runs.items()}}
    found["ratios"] = {
        "ours to the Trainer's defaults (at least 1.5)": statistics.median(
            [one / other for one, other in zip(runs["ours"], runs["trainer"], strict=True)]
        ),
        "ours to the loop by hand (at least 0.9)": statistics.median(
            [one / other for one, other in zip(runs["ours"], runs["loop"], strict=True)]
        ),
    }
    print(markdown(found))
    if given.json:
        write_json(given.json, found)


def measure(worker: str, model: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Run one worker in a fresh process."""
    command = [sys.executable, __file__, "--worker", worker, "--model", str(model)]
    command += ["--steps", str(given.steps), "--batch", str(given.batch)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    if done.returncode:
        raise RuntimeError(f"{worker} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def make_model(folder: Path) -> Path:
    """In a process of its own, so that this one stays without threads of PyTorch."""
    command = "import sys; from pathlib import Path; from tests.harness.tiny_models import tiny_model; "
    command += "tiny_model(Path(sys.argv[1]), [sys.argv[2]], hidden=384, layers=6, window=2048)"
    text = " ".join([*WORDS] * 20)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", command, str(folder), text], check=True, env=environment, capture_output=True, cwd=ROOT
    )
    return folder


def conversations(count: int) -> list[list[dict[str, str]]]:
    """Questions of some ten words, answers of 8 to 500, most of them short: log-normal, as written answers are."""
    import numpy as np

    rng = np.random.default_rng(SEED)

    def text(words: int) -> str:
        return " ".join(WORDS[index] for index in rng.integers(0, len(WORDS), words))

    lengths = np.clip(rng.lognormal(4.0, 1.0, count), 8, 500).astype(int)
    return [
        [{"role": "user", "content": text(10)}, {"role": "assistant", "content": text(int(length))}]
        for length in lengths
    ]


def examples(model: Path, steps: int, batch: int) -> list[Any]:
    """Tokens and labels of every step's conversations, in our order of learning."""
    from training.finetuning.base import load_tokenizer
    from training.finetuning.batches import order
    from training.finetuning.examples import Window, tokenise

    made = tokenise(conversations(steps * batch), load_tokenizer(model), Window(2048, "", ""))
    return [made[index] for index in order(len(made), steps * batch, SEED)]


def speed(tokens: list[int], seconds: list[float]) -> dict[str, float]:
    return {"tokens_per_s": sum(tokens[WARM_UP:]) / sum(seconds[WARM_UP:])}


def ours(model: Path, steps: int, batch: int) -> dict[str, float]:
    from training.finetuning import FineTuning, fine_tune

    options = FineTuning(method="full", batch_size=batch, max_steps=steps, max_length=2048, learning_rate=1e-4)
    with tempfile.TemporaryDirectory() as work:
        result = fine_tune(conversations(steps * batch), model, options, SEED, Path(work))
        log = json.loads((result.parent / "training_log.json").read_text(encoding="utf-8"))
    return speed(log["step_tokens"], log["step_seconds"])


def trainer(model: Path, steps: int, batch: int) -> dict[str, float]:
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    rows = [{"input_ids": one.input_ids, "labels": one.labels} for one in examples(model, steps, batch)]
    tokens = [sum(len(row["input_ids"]) for row in rows[start : start + batch]) for start in range(0, len(rows), batch)]
    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            marks.append(time.perf_counter())

        def on_train_end(self, *_: Any, **__: Any) -> None:
            marks.append(time.perf_counter())

    tokenizer = AutoTokenizer.from_pretrained(model)
    with tempfile.TemporaryDirectory() as work:
        Trainer(
            model=AutoModelForCausalLM.from_pretrained(model),
            args=TrainingArguments(
                output_dir=work,
                per_device_train_batch_size=batch,
                max_steps=steps,
                learning_rate=1e-4,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
                train_sampling_strategy="sequential",  # The order of the others; how fast it is does not change.
            ),
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            callbacks=[Clock()],
        ).train()
    return speed(tokens, [after - before for before, after in pairwise(marks)])


def loop(model: Path, steps: int, batch: int) -> dict[str, float]:
    import torch
    from torch.nn import functional
    from transformers import AutoModelForCausalLM

    from training.finetuning.base import precision_of
    from training.finetuning.batches import Collator

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lean = precision_of("auto") == "bf16"
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="sdpa").to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True, weight_decay=0.0)
    rows = [{"number": 0, "input_ids": one.input_ids, "labels": one.labels} for one in examples(model, steps, batch)]
    collate = Collator(padding=0, packing=True)
    tokens, seconds = [], []
    network.train()
    for start in range(0, len(rows), batch):
        began = time.perf_counter()
        made = collate(rows[start : start + batch])
        ids, labels, positions = (made[name].to(device) for name in ("input_ids", "labels", "position_ids"))
        with torch.autocast(device.type, torch.bfloat16, enabled=lean):
            hidden = network.model(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state
            following = labels[:, 1:]
            learned = following != -100
            logits = network.lm_head(hidden[:, :-1][learned])
        loss = functional.cross_entropy(logits.float(), following[learned])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        assert loss.item() == loss.item()
        tokens.append(made["tokens"])
        seconds.append(time.perf_counter() - began)
    return speed(tokens, seconds)


def facts(model: Path, steps: int, batch: int) -> dict[str, Any]:
    """The device, the model's size, the share of padding that the default meets, and the peaks of a matrix product."""
    import torch
    from transformers import AutoModelForCausalLM

    from training.finetuning.base import precision_of

    gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if gpu else f"processor, {torch.get_num_threads()} threads"
    rows = examples(model, steps, batch)
    lengths = [[len(one.input_ids) for one in rows[start : start + batch]] for start in range(0, len(rows), batch)]
    return {
        "device": name,
        "precision": precision_of("auto"),
        "parameters": AutoModelForCausalLM.from_pretrained(model).num_parameters(),
        "filled": sum(map(sum, lengths)) / sum(max(one) * len(one) for one in lengths),
        "peak": {
            "bf16": peak_flops(torch.bfloat16, "cuda" if gpu else "cpu"),
            "fp32": peak_flops(torch.float32, "cuda" if gpu else "cpu"),
        },
    }


def peak_flops(dtype: Any, device: str) -> float:
    """Best of several products of square matrices, in FLOPs a second."""
    import torch

    size = 8192 if device == "cuda" else 2048
    one, two = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(8):
        began = time.perf_counter()
        product = one @ two
        float(product[0, 0])  # Waits for the device.
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times)


WORKERS: dict[str, Callable[[Path, int, int], dict[str, Any]]] = {
    "ours": ours,
    "trainer": trainer,
    "loop": loop,
    "facts": facts,
}


def markdown(found: dict[str, Any]) -> str:
    names = {"ours": "ours", "trainer": "Trainer, defaults (fp32)", "loop": "PyTorch by hand"}
    rows = []
    for name, value in found["tokens_per_s"].items():
        peak = found["peak"]["fp32" if name == "trainer" else found["precision"]]
        rows.append([names[name], f"{value:,.0f}", f"{6 * found['parameters'] * value / peak:.0%}"])
    head = (
        f"{found['device']}; {found['parameters'] / 1e6:.1f} M parameters, all trained; ours in {found['precision']}; "
        f"batches padded to their longest conversation are {1 - found['filled']:.0%} padding; peak of a matrix product "
        f"{found['peak']['fp32'] / 1e9:,.0f} GFLOP/s in fp32, {found['peak']['bf16'] / 1e9:,.0f} in bf16; "
        f"load {found['load']:.1f} before.\n\n"
    )
    figures = table(["what", "tokens/s without padding", "of the peak (6 N FLOPs a token)"], rows)
    ratios = table(["ratio", "value"], [[name, f"{value:.2f}"] for name, value in found["ratios"].items()])
    return f"{head}{figures}\n\n{ratios}"


if __name__ == "__main__":
    main()
