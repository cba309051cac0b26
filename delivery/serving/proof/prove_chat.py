"""Proof that a language model is served as it was judged: the same answers, what OpenAI's protocol promises, and how
fast the tokens come."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from delivery.documents.sample import Sample, difference
from delivery.documents.verdict import Streaming
from delivery.serving.clients.chat import ChatModel, Messages, SamplingParameters
from training.errors import OstinatoError

if TYPE_CHECKING:
    from delivery.serving.clients.chat import Timed

CALLS = 20
SECONDS = 20.0


def compare_texts(model: ChatModel, sample: Sample) -> float:
    """The share of the sample's questions that are answered in other words. Raises what ChatModel raises."""
    import numpy as np

    sampling = sampling_of(sample)
    answers = [model.answer(messages, sampling).text for messages in sample.prompts]
    return difference(np.array(answers, dtype=object), sample.answers, sample.task)


def sampling_of(sample: Sample) -> SamplingParameters:
    """Greedy, as the sample's answers were made."""
    if sample.decoding is None:
        raise OstinatoError(f"the sample of {sample.model} does not say how its answers were made")
    return SamplingParameters.of(sample.decoding)


def time_streams(model: ChatModel, questions: Sequence[Messages], sampling: SamplingParameters) -> Streaming:
    """Of streamed answers, one at a time: at least one, then until 20, or 20 s. Raises what ChatModel raises."""
    import numpy as np

    end = time.perf_counter() + SECONDS
    times: list[Timed] = []
    while not times or (len(times) < CALLS and time.perf_counter() < end):
        times.append(model.timed(questions[len(times) % len(questions)], sampling))
    first = [timed.first_s * 1000 for timed in times]
    return Streaming(
        first_token_p50_ms=float(np.quantile(first, 0.5)),
        first_token_p99_ms=float(np.quantile(first, 0.99)),
        tokens_per_s=sum(timed.tokens for timed in times) / sum(timed.whole_s for timed in times),
        calls=len(times),
    )
