"""TRL's SFTTrainer for examples that are already tokens, with a loss that is checked at every part of a step."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import OstinatoError
from training.finetuning.head import add_answer_loss, loss_per_token, scales_logits
from training.finetuning.place import seal
from training.finetuning.training_failures import not_finite

if TYPE_CHECKING:
    import torch

    from training.finetuning.examples import Conversation

Base: Any = object
"""TRL's SFTTrainer, whose import takes seconds: `answer_trainer` puts it behind the class."""

LINES = 20
"""Progress lines of a whole training, at most."""


class AnswerTraining(Base):
    """What differs from SFTTrainer."""

    given: "Sequence[Conversation]"
    """All conversations, by number."""

    def create_accelerator_and_postprocess(self) -> None:
        """Shards on processors too: accelerate 1.15 knows FSDP on accelerators alone, and without a word trains with
        DDP elsewhere, though PyTorch's fully_shard, which it calls, runs there over gloo."""
        super().create_accelerator_and_postprocess()
        if self.args.fsdp_plugin_args is not None and not self.is_fsdp_enabled:
            from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

            plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            self.accelerator.state.fsdp_plugin = plugin
            self.accelerator.state.distributed_type = DistributedType.FSDP
            self.is_fsdp_enabled = True

    def prepare(self, given: "Sequence[Conversation]") -> None:
        """Once, after the constructor; chooses the implementation of the loss for the device."""
        self.given = given
        self.batch: list[int] = []
        self.tokens = 0
        self.mark = time.monotonic()
        model: Any = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        self.answer_loss = self.args.device.type not in ("cuda", "xpu") and not scales_logits(model)
        if self.answer_loss:
            add_answer_loss(model)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> "torch.Tensor":
        """Forward and backward of one part; raises OstinatoError where its loss is no number."""
        self.batch = inputs.pop("conversations")
        self.tokens += inputs.pop("tokens")
        return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean over the answers' tokens of the whole step, times the processes, whose mean DDP takes."""
        if self.aux_loss_enabled:
            loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        else:
            assert not return_outputs and num_items_in_batch is not None
            processes = self.accelerator.num_processes
            loss = loss_per_token(self.summed_loss(model, inputs), num_items_in_batch) * processes
        if not loss.isfinite():
            step = self.state.global_step + 1
            raise OstinatoError(not_finite("loss", loss.item(), step, self.batch, self.given))
        return loss

    def summed_loss(self, model: Any, inputs: dict[str, Any]) -> "torch.Tensor":
        """Negative log-likelihood of the answers' tokens, summed; a scalar."""
        if self.answer_loss:
            return model(**inputs, answer_loss=True)
        return -model(**inputs, use_cache=False, fused_lm_head=True).log_probs.sum()

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The mean loss of a token over all held-out answers; the processes share the work."""
        import torch

        rows = self.eval_dataset
        share, world = self.args.per_device_train_batch_size, self.accelerator.num_processes
        total = torch.zeros(2, dtype=torch.float64 if self.args.device.type != "mps" else torch.float32)
        self.model_wrapped.eval()
        # Each process computes equally often, since a sharded forward waits for the others; what is too much counts 0.
        for turn in range(-(-len(rows) // (share * world))):
            first = (turn * world + self.accelerator.process_index) * share
            counts = first < len(rows)
            chosen = range(first, min(first + share, len(rows))) if counts else [0]
            batch = self.data_collator([rows[index] for index in chosen])
            inputs = {name: batch[name].to(self.args.device) for name in ("input_ids", "labels", "position_ids")}
            with torch.no_grad():
                loss = self.summed_loss(self.model_wrapped, inputs)
            if counts:
                total += torch.tensor([loss.item(), (inputs["labels"] != -100).sum().item()])
        nll, tokens = self.accelerator.gather(total.to(self.args.device)).view(-1, 2).sum(0).tolist()
        metrics = {f"{metric_key_prefix}_loss": nll / tokens}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds `tokens` (without padding, of all processes) and `seconds` of each step, and prints some of them."""
        import torch

        if "loss" in logs:
            if not math.isfinite(logs["grad_norm"]):
                message = not_finite(
                    "norm of the gradient", logs["grad_norm"], self.state.global_step, self.batch, self.given
                )
                raise OstinatoError(message)
            mine = torch.tensor([self.tokens], device=self.args.device)
            now = time.monotonic()
            logs["tokens"] = int(self.accelerator.gather(mine).sum())
            logs["seconds"] = now - self.mark
            self.tokens, self.mark = 0, now
        super().log(logs, start_time)
        if self.is_world_process_zero():
            self.say(logs)

    def say(self, logs: dict[str, float]) -> None:
        """One line for a held-out loss, and for a step if its turn has come."""
        step, last = self.state.global_step, self.state.max_steps
        if "eval_loss" in logs:
            print(f"step {step}/{last}  held-out loss {logs['eval_loss']:.4f}", flush=True)
        elif "loss" in logs and (step in (1, last) or step % max(1, last // LINES) == 0):
            speed = logs["tokens"] / max(logs["seconds"], 1e-9)
            print(f"step {step}/{last}  loss {logs['loss']:.4f}  {speed:,.0f} tokens/s", flush=True)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As the base class does, but gathers sharded weights one by one: accelerate's way leaves the second name of
        tied weights sharded, and saving waits for ever. Checkpoints (internal calls) keep the shards."""
        if not self.is_fsdp_enabled:
            super().save_model(output_dir, _internal_call)
        elif _internal_call:
            # Whether the best checkpoint's folder is there is asked before anything else is written to it.
            Path(output_dir or self.args.output_dir).mkdir(parents=True, exist_ok=True)
        else:
            from torch.distributed.tensor import DTensor

            state, only_lora = {}, hasattr(self.model, "peft_config")
            names = {name for name, _ in self.model.named_parameters(remove_duplicate=False)}
            tied = names - {name for name, _ in self.model.named_parameters()}
            for name, tensor in self.model.state_dict().items():
                if name in tied or (only_lora and "lora_" not in name):
                    continue
                whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
                if self.is_world_process_zero():
                    state[name] = whole.cpu()
            if self.is_world_process_zero():
                self._save(output_dir, state_dict=state)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            seal(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")
        self.mark = time.monotonic()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: the model version has its own."""

    def _send_telemetry(self) -> None:
        """Never."""


def answer_trainer() -> type[AnswerTraining]:
    """The class to construct; here, since TRL's import takes seconds."""
    from trl.trainer.sft_trainer import SFTTrainer

    return type("AnswerTrainer", (AnswerTraining, SFTTrainer), {})
