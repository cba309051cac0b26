"""How likely a model finds the reference answers: the sums that perplexity is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.evaluate.language.answer_prompts import batches, end_tokens, halving, left_padded, padding

if TYPE_CHECKING:
    import torch

    from delivery.models.language.language_model import LanguageModel

BATCH_TOKENS = 4_096
"""Of a batch: each token of an answer needs a number for every word of the vocabulary."""


@dataclass(frozen=True)
class Likelihood:
    """Of one reference answer."""

    nll: float
    """-Σ log p of its tokens, natural logarithm."""
    tokens: int


def encode_reference(model: "LanguageModel", reference: str) -> list[int]:
    """The tokens that the model would have to say: the text and the token that ends it."""
    tokenizer: Any = model.tokenizer
    end = tokenizer.eos_token_id
    return [
        *tokenizer(reference, add_special_tokens=False)["input_ids"],
        *([end] if end is not None else end_tokens(model)[:1]),
    ]


def likelihoods(
    model: "LanguageModel",
    prompts: Sequence[list[int]],
    references: Sequence[list[int]],
    batch_tokens: int = BATCH_TOKENS,
) -> list[Likelihood]:
    """Of each encoded reference after its encoded prompt (n,), in order.

    The perplexity of several answers is exp(Σ nll / Σ tokens): the exponential of the mean negative log-likelihood of
    a token given the prompt and the answer's tokens before it, where each token counts the same, and only those of the
    answers do (https://huggingface.co/docs/transformers/perplexity; no sliding window, since nothing is longer than
    the model's). It is per token, so that two models compare only where their tokenizers cut the answers alike.
    """
    results: list[Likelihood | None] = [None] * len(prompts)
    lengths = [len(prompt) + len(reference) for prompt, reference in zip(prompts, references, strict=True)]
    for rows in batches(lengths, batch_tokens):
        sums = halving(rows, lambda part: _sums(model, [prompts[i] for i in part], [references[i] for i in part]))
        for row, nll in zip(rows, sums, strict=True):
            results[row] = Likelihood(nll, len(references[row]))
    return [likelihood for likelihood in results if likelihood is not None]


def _sums(model: "LanguageModel", prompts: Sequence[list[int]], references: Sequence[list[int]]) -> list[float]:
    """-Σ log p of each row."""
    import torch

    both = [prompt + reference for prompt, reference in zip(prompts, references, strict=True)]
    ids, mask = left_padded(both, padding(model), model.model.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    keep = max(map(len, references)) + 1
    with torch.inference_mode():
        logits = _last_logits(model, ids, mask, positions, keep)
        return [
            float(
                torch.nn.functional.cross_entropy(
                    row[-many - 1 : -1].float(), torch.tensor(target, device=row.device), reduction="sum"
                )
            )
            for row, target in zip(logits, references, strict=True)
            for many in [len(target)]
        ]


def _last_logits(
    model: "LanguageModel", ids: "torch.Tensor", mask: "torch.Tensor", positions: "torch.Tensor", keep: int
) -> "torch.Tensor":
    """The last ``keep`` positions' logits, (rows, keep, vocabulary); computed for no others where the model can."""
    net: Any = model.model
    asked = {"logits_to_keep": keep} if net._supports_logits_to_keep() else {}
    out = net(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, **asked)
    return out.logits[:, -keep:]
