"""The loss of the answers' tokens, and nothing computed for the others."""

import functools
from typing import TYPE_CHECKING, Any

from training.finetuning.examples import IGNORED

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def add_answer_loss(model: "PreTrainedModel") -> None:
    """Let ``model(..., labels=labels, answer_loss=True)`` return the summed negative log-likelihood, a scalar.

    The output layer sees only the positions whose next token has a label, where a model's own forward computes (rows,
    length, vocabulary) logits for all. It is what TRL's fused head does where Triton runs (``add_fused_lm_head``, with
    the same scaling of logits); elsewhere that one scores every position, twice, and multiplies gradients in fp32.
    The weights are looked up at each call, since FSDP and PEFT replace them.
    """
    forward = model.forward
    config = model.config.get_text_config()
    softcap = getattr(config, "final_logit_softcapping", None)

    @functools.wraps(type(model).forward)
    def answer_forward(*args: Any, answer_loss: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        import torch
        from torch.distributed.tensor import DTensor
        from torch.nn import functional

        if not answer_loss:
            return forward(*args, **kwargs) if labels is None else forward(*args, labels=labels, **kwargs)
        hidden = model.base_model(*args, use_cache=False, **kwargs).last_hidden_state[:, :-1]
        following = labels[:, 1:]
        learned = following != IGNORED
        head: Any = model.get_output_embeddings()
        weight, bias = head.weight, head.bias
        if isinstance(weight, DTensor):
            weight, bias = weight.full_tensor(), bias.full_tensor() if bias is not None else None
        logits = functional.linear(hidden[learned].to(weight.dtype), weight, bias).float()
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        return functional.cross_entropy(logits, following[learned], reduction="sum")

    model.forward = answer_forward


def scales_logits(model: "PreTrainedModel") -> bool:
    """Whether the architecture multiplies its logits, which the answer loss doesn't do: TRL's head is used then."""
    config = model.config.get_text_config()
    names = ("logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling", "output_router_logits")
    return any(getattr(config, name, None) not in (None, False) for name in names)


def loss_per_token(total: "torch.Tensor", tokens: "torch.Tensor | int") -> "torch.Tensor":
    """The sum divided by the tokens of the whole step, all parts and processes together; 0 for a step without any."""
    import torch

    return total / torch.as_tensor(tokens, device=total.device).clamp(min=1)
