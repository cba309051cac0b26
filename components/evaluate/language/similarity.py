"""How near an answer is to its reference in meaning: the cosine of their sentence embeddings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.evaluate.language.answer_prompts import batches
from training.errors import InputError

BATCH_TOKENS = 16_384
DEFAULT_WINDOW = 512


class Encoder:
    """A sentence encoder in the layout of sentence-transformers
    (https://sbert.net/docs/sentence_transformer/usage/custom_models.html): a Hugging Face folder whose
    ``1_Pooling/config.json`` says how the tokens' vectors become one, the mean unless it says otherwise."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError for a folder that is no such encoder."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.pooling = _pooling(folder)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise InputError(f"quality.similarity: {folder} is no sentence encoder that loads: {error}") from error
        self.model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self.window = _window(folder, self.model)

    def similarities(self, answers: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Cosine of each pair in [-1, 1], (n,) float64; 0 for an empty answer. A text longer than the encoder's window
        counts by its beginning."""
        known = sorted({*answers, *references})
        place = {text: i for i, text in enumerate(known)}
        vectors = self.embed(known)
        mine, theirs = ([place[text] for text in texts] for texts in (answers, references))
        cosines = np.einsum("ij,ij->i", vectors[mine], vectors[theirs])
        filled = np.array([bool(answer.strip()) for answer in answers])
        return np.where(filled, np.clip(cosines, -1.0, 1.0), 0.0)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1, (n, width) float64."""
        import torch

        encoded = [self.tokenizer(text, truncation=True, max_length=self.window)["input_ids"] for text in texts]
        vectors: list[Any] = [None] * len(texts)
        fill = self.tokenizer.pad_token_id or 0
        for rows in batches([len(tokens) for tokens in encoded], BATCH_TOKENS):
            longest = len(encoded[rows[0]])
            ids = torch.tensor([encoded[row] + [fill] * (longest - len(encoded[row])) for row in rows])
            lengths = torch.tensor([len(encoded[row]) for row in rows])
            mask = (torch.arange(longest)[None, :] < lengths[:, None]).long()
            with torch.inference_mode():
                ids, mask = ids.to(self.model.device), mask.to(self.model.device)
                out = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
                weights = mask[:, :, None].to(out.dtype)
                pooled = out[:, 0] if self.pooling == "cls" else (out * weights).sum(1) / weights.sum(1)
                unit = torch.nn.functional.normalize(pooled.double(), dim=1).cpu().numpy()
            for row, vector in zip(rows, unit, strict=True):
                vectors[row] = vector
        return np.stack(vectors)


def _pooling(folder: Path) -> str:
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    described = json.loads(path.read_text(encoding="utf-8"))
    asked = sorted(name for name, on in described.items() if name.startswith("pooling_mode_") and on is True)
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(asked) != 1 or asked[0] not in known:
        raise InputError(
            f"quality.similarity: {path} asks for {', '.join(asked) or 'no pooling'}; pooling_mode_mean_tokens and "
            "pooling_mode_cls_token are what is understood here: choose another encoder"
        )
    return known[asked[0]]


def _window(folder: Path, model: Any) -> int:
    """Tokens that it reads: its own limit, and what its positions hold."""
    path = folder / "sentence_bert_config.json"
    stated = json.loads(path.read_text(encoding="utf-8")).get("max_seq_length") if path.is_file() else None
    held = getattr(model.config, "max_position_embeddings", None) or DEFAULT_WINDOW
    return min(stated or held, held)
