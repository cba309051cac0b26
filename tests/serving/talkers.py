"""A language model that has learned a few answers by heart, and what it should say."""

from pathlib import Path

from harness.tiny_models import tiny_model

from delivery.documents.sample import Sample
from delivery.models.folder import model_digest
from training.spec import Decoding

NAME = "guide"
ANSWERS = {
    "Which way is north?": "Follow the needle of the compass, then the river.",
    "How far is it?": "Two hours on foot, one hour by boat.",
    "Is the café open?": "Ja, für 5 € – 日本 ☀️ und naïve Gäste.",
    "Who are you?": "A guide to the hills.",
}
QUESTIONS = list(ANSWERS)
DECODING = Decoding(max_new_tokens=64)
STEPS = 100


def asks(question: str, system: str = "") -> list[dict[str, str]]:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": question}]


def make_talker(folder: Path, window: int = 256) -> Path:
    """Train a tiny model on the answers until it has them by heart."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    texts = [*ANSWERS, *ANSWERS.values()] * 3
    tiny_model(folder, texts, hidden=128, layers=1, window=window)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    rows = []
    for question, answer in ANSWERS.items():
        prompt = tokenizer.apply_chat_template(asks(question), add_generation_prompt=True, return_dict=False)
        said = tokenizer(f"{answer}<|im_end|>")["input_ids"]
        rows.append((torch.tensor(prompt + said), torch.tensor([-100] * len(prompt) + said)))
    ids, labels = (pad_sequence([row[at] for row in rows], True, fill) for at, fill in ((0, 0), (1, -100)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(STEPS):
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def sample_of(folder: Path, other: int = 0, tolerance: float = 0.25, decoding: Decoding = DECODING) -> Sample:
    """The questions and what was learned; ``other`` answers are expected otherwise."""
    expected = [f"no {text}" if at < other else text for at, text in enumerate(ANSWERS.values())]
    return Sample(
        model=NAME,
        task="generation",
        model_digest=model_digest(folder),
        columns={"messages": tuple(asks(question) for question in ANSWERS)},
        expected=tuple(expected),
        tolerance=tolerance,
        decoding=decoding,
    )
