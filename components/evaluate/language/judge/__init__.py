"""A language model as judge: pairs of answers, in both orders, against the rubric of the spec."""

from components.evaluate.language.judge.labels import read_labels
from components.evaluate.language.judge.verdicts import ask_judge, judge_answers

__all__ = ["ask_judge", "judge_answers", "read_labels"]
