"""What only a language model has in its spec: conversations, the base model, decoding, the judge, the engine."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from training.spec.data import KeySplit
from training.spec.section import Section, Share

Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
URL = r"^https?://[^\s@?#]+$"
HUB_ID = r"^[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$"


def _check_url(text: str) -> str:
    if not re.fullmatch(URL, text):
        raise ValueError(
            "write http:// or https:// with a host and a path, without user, password or query; the key is read from "
            "the environment variable that api_key_env names"
        )
    return text


HttpUrl = Annotated[str, AfterValidator(_check_url), Field(json_schema_extra={"pattern": URL})]
Text = Annotated[str, Field(min_length=1)]


class ConversationSpec(Section):
    """Where the conversations come from, and what they must look like. Each row has `messages`: a list of
    `{role, content}` that ends with the assistant's answer."""

    kind: Literal["conversations"]
    source: Text
    """A JSONL or Parquet file, directory or glob: relative to the model's folder, or a local, `gs://`, `s3://` or
    `https://` URI."""
    test: str | None = None
    """Source of the fixed questions that every candidate is judged on; else `split` takes them from the source."""
    split: KeySplit | None = None
    """A stable hash decides the side of a conversation. Exactly one of `test` and `split`."""
    key: str | None = None
    """A column; conversations with equal values stay on one side of the split, so with `test` a training row whose
    value a test row has is refused. Without one the questions are the key."""
    labels: tuple[str, ...] = ()
    """Further text columns that are kept, such as a topic, for checks by slice."""
    max_turns: Annotated[int, Field(ge=2)] = 32
    """Messages of a conversation; a longer one is refused."""
    max_chars: Annotated[int, Field(ge=1)] = 32_000
    """Characters of all messages of a conversation; a longer one is refused."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Jaccard similarity of two conversations' questions from which they count as the same: of their words, or of runs
    of three words where both have 20 or more. A training row that is as near to a test row is refused, and so is a
    second row of the same side with the same answers."""
    max_refused: Share = 0.01
    """Largest share of conversations that may be refused before the run stops."""

    @model_validator(mode="after")
    def _one_test_side(self) -> Self:
        if (self.test is None) == (self.split is None):
            raise ValueError("give exactly one of test (a file of fixed questions) and split (a share by key)")
        return self


class BaseModelSpec(Section):
    """A model that somebody else trained, in Hugging Face's layout. Code that comes with one is never run."""

    source: Text
    """A hub id such as `HuggingFaceTB/SmolLM2-135M-Instruct`; a folder, relative to the model's folder, or a local,
    `gs://` or `s3://` URI; or `package:NAME/PATH`, a folder or a .gguf file inside an installed Python package."""
    revision: Revision | None = None
    """Commit of the hub's repository; required for a hub id, and for nothing else."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Of the files, if they must be these ones; the run prints it."""

    @property
    def on_hub(self) -> bool:
        """Whether the source is a hub id; a relative folder begins with a dot or has no or several slashes."""
        return re.match(HUB_ID, self.source) is not None and not self.source.startswith("package:")

    @model_validator(mode="after")
    def _revision_is_pinned(self) -> Self:
        if self.on_hub and self.revision is None:
            raise ValueError(
                f"source {self.source!r} is a hub id and needs revision, the 40 digits of a commit, since a "
                "branch moves; a folder is written ./like/this"
            )
        if not self.on_hub and self.revision is not None:
            raise ValueError(f"revision is for a hub id, and source is {self.source!r}; pin it with sha256")
        return self


class Decoding(Section):
    """How answers are made where models are compared: greedily, the same for everyone."""

    max_new_tokens: Annotated[int, Field(ge=1, le=8192)] = 128
    stop: Annotated[tuple[Text, ...], Field(max_length=4)] = ()
    """Texts that end an answer, and are not part of it."""


class JudgeSpec(Section):
    """A language model that compares two answers, behind any OpenAI-compatible URL. Its key is read from the
    environment of the step."""

    url: HttpUrl
    """Base URL, such as `https://api.openai.com/v1`, or `http://judge.models.svc/openai/v1` for one of KServe."""
    model: Text
    """Its name there."""
    rubric: Text
    """What makes an answer better, in words."""
    calls: Annotated[int, Field(ge=2, le=100_000)] = 400
    """Budget of calls for one verdict; two for each question that is not in the cache, since both orders are asked."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 60
    """Of one call, with its repetitions where the server is busy or failing."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "OPENAI_API_KEY"
    """Environment variable with the key; a server without keys needs none."""
    labels: Text | None = None
    """JSONL in the model's folder with pairs that people have compared: `question`, `first`, `second`, `better`
    (`first`, `second` or `tie`), `by` and, if there is one, `reference`; the verdict reports how often the judge
    agrees."""


class EngineSpec(Section):
    """How the runtime runs a language model."""

    backend: Literal["auto", "vllm", "huggingface"] = "auto"
    """Of KServe's huggingfaceserver: vLLM where it supports the model (`auto`), always, or never."""
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    """Longest prompt with its answer, in tokens; the model's own window unless given."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    tensor_parallel: Annotated[int, Field(ge=1, le=16)] = 1
    """GPUs that share the layers of one replica; vLLM only."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the GPU's memory that vLLM takes; its own default unless given."""
