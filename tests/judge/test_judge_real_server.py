"""A real language model behind the runtime that serves ours: too small to judge, so the check stays undecided."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.tiny_models import CHAT_TEMPLATE, tiny_model
from judge.test_judge import REFERENCE, ask, better

from components.evaluate.language.judge.prompt import INSTRUCTIONS
from delivery.serving.process.process import serving

MODEL = "a-judge"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Base URL of an untrained model."""
    # An untrained model with tied embeddings says its last token for ever: a word, rather than the end of a line.
    template = CHAT_TEMPLATE.replace("assistant\n{% endif", "assistant{% endif")
    folder = tiny_model(tmp_path / "model", [INSTRUCTIONS, REFERENCE], window=4096, chat_template=template)
    with serving(folder, MODEL, runtime="kserve-huggingfaceserver", protocol="openai") as server:
        yield server.openai


def test_a_model_that_talks_nonsense_leaves_the_check_undecided(served: str, tmp_path: Path) -> None:
    report = ask(served, [better()], tmp_path, model=MODEL)
    assert (report.questions, report.unanswered, report.calls, report.win_rate) == (1, 1, 4, None)
    assert "1 of 1 questions have no usable reply" in report.failure
    assert "it replied '" in report.failure, "the model was asked, and it is its own words that are no verdict"
