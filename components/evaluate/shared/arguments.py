"""What the evaluate step takes and writes, for every task."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from components.evaluate.shared.rows import check_rows
from delivery.documents.data_card import DATA_CARD_FILE, TEST_FILE, DataCard
from training.spec import QualitySpec, ServingSpec


@dataclass(frozen=True)
class EvaluateInputs:
    """The parts of the spec are canonical JSON."""

    model: str
    task: str
    data_spec: str
    quality_spec: str
    serving_spec: str
    """``ServingSpec.proven_json``."""
    base_model: str
    """The spec's ``training.base_model``; empty for a table's model."""
    champion_version: str
    """In the registry; empty when there is no champion."""
    spec_digest: str
    code: str
    data: Path
    """The folder that preprocess wrote."""
    candidate: Path
    champion: Path
    """A model folder, empty or missing when there is no champion."""

    @cached_property
    def quality(self) -> QualitySpec:
        return QualitySpec.model_validate_json(self.quality_spec)

    @cached_property
    def serving(self) -> ServingSpec:
        return ServingSpec.model_validate_json(self.serving_spec)

    @cached_property
    def card(self) -> DataCard:
        """Raises OstinatoError unless the test rows are those that the data card describes."""
        card = DataCard.read(self.data / DATA_CARD_FILE)
        check_rows(self.test_file, card)
        return card

    @property
    def test_file(self) -> Path:
        return self.data / TEST_FILE

    @property
    def tolerance(self) -> float:
        """Of the proof."""
        return self.quality.servable.tolerance_for(self.serving.model_format)


@dataclass(frozen=True)
class EvaluateOutputs:
    """Files to write."""

    verdict: Path
    report: Path
    evidently: Path
    sample: Path
    evidently_link: str = "evidently.html"
    """Where the report finds Evidently's page; empty for no link."""
