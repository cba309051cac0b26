"""A language model as judge: pairs of answers, in both orders, against the rubric of the spec."""

from components.evaluate.language.judge.cache import judge_cache
from components.evaluate.language.judge.labels import read_labels
from components.evaluate.language.judge.verdicts import Compared, judge_answers

__all__ = ["Compared", "judge_answers", "judge_cache", "read_labels"]
