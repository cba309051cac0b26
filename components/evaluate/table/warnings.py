from collections.abc import Sequence
from datetime import UTC, datetime

from components.evaluate.table.contenders import Model
from components.evaluate.table.evidently_report import InputDrift
from delivery.documents.data_card import DataCard
from training.spec import DataSpec


def collect_warnings(contract: DataSpec, card: DataCard, models: Sequence[Model], drift: InputDrift) -> tuple[str, ...]:
    """What a reviewer should know that no check says."""
    warnings: list[str] = []
    if drift.not_measured:
        warnings.append(
            f"drift is not measured for {', '.join(drift.not_measured)}: no values, or neither number nor text"
        )
    start = card.test.time_from
    for model in models if contract.split.by == "time" else ():
        seen = model.predictor.facts.get("train_time_to")
        if not seen or start is None or _utc(datetime.fromisoformat(seen)) < _utc(start):
            continue
        trained = f"{model.called} was trained on rows up to {seen}, the test rows start at {start.isoformat()}"
        if model.role == "candidate":
            warnings.append(f"{trained}: its figures are too good")
        else:
            warnings.append(f"{trained}: the comparison favours it, so passing against it is harder than it should be")
    return tuple(warnings)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
