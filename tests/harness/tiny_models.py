"""Language models small enough for tests: real files in Hugging Face's layout, made from a configuration."""

from collections.abc import Iterable
from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
OWN_CODE = '''
from pydantic import BaseModel, ConfigDict


class Hyperparameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    method: str = "prompt"
    die_at: int = -1


def train(conversations, base, hyperparameters, seed, work):
    """A trainer of a few steps that writes down where it is, as a real one does."""
    import json, os, signal
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if hyperparameters.method == "prompt":
        return base
    tokenizer = AutoTokenizer.from_pretrained(base)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    if hyperparameters.method == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
    log, done = work / "training_log.json", work / "steps"
    steps = int(done.read_text()) if done.is_file() else 0
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    curve = []
    for step in range(3):
        rows = [tokenizer.apply_chat_template(one, return_tensors="pt", return_dict=True) for one in conversations]
        loss = sum(model(**one, labels=one["input_ids"]).loss for one in rows)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        curve.append(loss.item())
        done.write_text(str(steps + step + 1))
        if step == hyperparameters.die_at and steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    log.write_text(json.dumps({"loss": curve}))
    model.save_pretrained(work / "result")
    return work / "result"
'''
"""`model.py` of a model with a trainer of its own."""


def tiny_model(
    folder: Path,
    texts: Iterable[str],
    *,
    seed: int = 0,
    hidden: int = 64,
    layers: int = 2,
    window: int = 512,
    chat_template: str = CHAT_TEMPLATE,
) -> Path:
    """Write an untrained Llama of some 0.2 M parameters with a tokenizer learned from the texts; returns the folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=window
    )
    if chat_template:
        tokenizer.chat_template = chat_template
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=window,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            tie_word_embeddings=True,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
