"""The schema of ``spec.yaml``: what a model's owner, a test or a program of one's own imports.

The modules below import each other, never this package.
"""

from training.spec.checks.answer_bounds import ForbiddenCheck, FormatCheck, LengthCheck, RefusalCheck
from training.spec.checks.check import QualityCheck
from training.spec.checks.drift_bound import DriftCheck
from training.spec.checks.judge_bound import JudgeCheck
from training.spec.checks.kinds import Check
from training.spec.checks.metric_bounds import AbsoluteCheck, RelativeCheck
from training.spec.checks.serving_bounds import (
    ColdStartCheck,
    FirstTokenCheck,
    LatencyCheck,
    ServableCheck,
    SizeCheck,
    ThroughputCheck,
)
from training.spec.checks.slice_bounds import SliceCheck
from training.spec.data import Column, DataSpec, KeySplit, TestSet, TimeSplit
from training.spec.drift import DriftWatchSpec
from training.spec.fine_tuning import FineTuning
from training.spec.generation import BaseModelSpec, ConversationSpec, Decoding, EngineSpec, JudgeSpec
from training.spec.model_spec import ModelSpec, ReleaseSpec, TrainingSpec, json_schema, load_spec, parse_spec
from training.spec.quality import Baseline, QualitySpec
from training.spec.resources import Accelerator, Resources, StepAccelerator, StepResources
from training.spec.schedule import ScheduleSpec
from training.spec.section import Frozen, Section, parse_duration
from training.spec.serving import (
    Batching,
    Canary,
    Gateway,
    PayloadLog,
    PrometheusTrigger,
    Scaling,
    SecretKey,
    ServingSpec,
    Toleration,
)
from training.spec.steps import CachedStep, SizedStep, Step, StepsSpec, TrainStep
from training.spec.tasks import METRICS, TASKS, Answers, Task

__all__ = [
    "METRICS",
    "TASKS",
    "AbsoluteCheck",
    "Accelerator",
    "Answers",
    "BaseModelSpec",
    "Baseline",
    "Batching",
    "CachedStep",
    "Canary",
    "Check",
    "ColdStartCheck",
    "Column",
    "ConversationSpec",
    "DataSpec",
    "Decoding",
    "DriftCheck",
    "DriftWatchSpec",
    "EngineSpec",
    "FineTuning",
    "FirstTokenCheck",
    "ForbiddenCheck",
    "FormatCheck",
    "Frozen",
    "Gateway",
    "JudgeCheck",
    "JudgeSpec",
    "KeySplit",
    "LatencyCheck",
    "LengthCheck",
    "ModelSpec",
    "PayloadLog",
    "PrometheusTrigger",
    "QualityCheck",
    "QualitySpec",
    "RefusalCheck",
    "RelativeCheck",
    "ReleaseSpec",
    "Resources",
    "Scaling",
    "ScheduleSpec",
    "SecretKey",
    "Section",
    "ServableCheck",
    "ServingSpec",
    "SizeCheck",
    "SizedStep",
    "SliceCheck",
    "Step",
    "StepAccelerator",
    "StepResources",
    "StepsSpec",
    "Task",
    "TestSet",
    "ThroughputCheck",
    "TimeSplit",
    "Toleration",
    "TrainStep",
    "TrainingSpec",
    "json_schema",
    "load_spec",
    "parse_duration",
    "parse_spec",
]
