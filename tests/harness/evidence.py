"""A verdict and a data card as the demand forecaster's run makes them, and the change that they are about."""

from datetime import UTC, datetime
from typing import Any

from harness.verdicts import check, contender, data_card, digest, measure, verdict

from delivery.documents.data_card import CardPart, DataCard
from delivery.documents.verdict import Contender, DriftResult, SliceResult, Verdict
from delivery.kserve.manifest import LiveModel
from delivery.releases.proposal import ManifestChange
from delivery.releases.pull_request_text import Link, Story

FINGERPRINT = digest("rows")


def live_model(version: str, letter: str, **fields: Any) -> LiveModel:
    return LiveModel(
        name="demand-forecaster",
        version=version,
        previous_version="",
        registered_model="demand-forecaster",
        storage_uri=f"gs://acme-models/mlflow/7/models/m-{digest(letter)[7:39]}/artifacts",
        runtime="ostinato-mlflow",
        protocol="v2",
        digest=digest(letter),
        data_fingerprint=FINGERPRINT,
        verdict_digest=digest("e"),
        code_version="c0de",
        spec_digest=digest("f"),
        commit="0" * 40,
        **fields,
    )


def contenders() -> tuple[Contender, ...]:
    mine = {"mae": (61.3, 60.1, 62.6), "rmse": (92.4, 90.2, 94.7), "r2": (0.912, 0.907, 0.917), "bias": (1.8, 0.2, 3.5)}
    theirs = {"mae": (66.9, 65.5, 68.2), "rmse": (99.8, 97.5, 102), "r2": (0.897, 0.892, 0.903), "bias": (0.9, -0.9, 3)}
    naive = {"mae": (107.4, 105, 109.9), "rmse": (168.2, 164, 172), "r2": (0.71, 0.696, 0.724), "bias": (-3, -6, 0.2)}
    return (
        contender("candidate", "demand-forecaster", **mine),
        contender("champion", "demand-forecaster", "3", **theirs),
        contender("baseline", "seasonal naive", **naive),
    )


def forecaster_verdict(**fields: Any) -> Verdict:
    checks = (
        check("mae against champion", "passed", "mae is 61.3 against the champion's 66.9: 8.4 % better; with 95 % "
              "confidence 6.9 % better to 9.8 % better; at most 2 % worse is allowed."),
        check("mae against baseline", "passed", "mae is 61.3 against the baseline's 107.4: 42.9 % better; with 95 % "
              "confidence 41.8 % better to 44.1 % better; at least 10 % better is demanded."),
        check("r2 at least 0.7", "passed", "r2 is 0.912; at least 0.7 is demanded."),
        check("mae by weekday", "passed", "None of 7 judged slices breaks the bound. The worst is weekday = 5: "
              "mae 74.1."),
        check("mae by holiday", "failed", "1 of 2 judged slices breaks the bound. The worst is holiday = 1: mae 131; "
              "at most 50 % worse than the champion's 84.2 is allowed.", required=False),
        check("drift", "passed", "2 of 4 inputs drifted (50 %); at most 90 % may.", required=False),
        check("servable", "passed", "ostinato-mlflow loaded the model in a fresh process and answered 500 test rows as "
              "judged; the largest relative difference is 0."),
        check("p99 latency", "passed", "p99 is 14.2 ms at 4 requests at a time; at most 1000 ms is allowed."),
        check("cold start", "passed", "It took 4.1 s to the first answer; at most 30 s is allowed."),
        check("size", "passed", "The model folder has 1.9 MiB; at most 20 MiB is allowed."),
    )  # fmt: skip
    slices = (
        SliceResult(column="holiday", value="1", rows=96, metric="mae", candidate=131.0, champion=84.2, worse=True),
        SliceResult(column="weekday", value="5", rows=336, metric="mae", candidate=74.1, champion=72.8, worse=True),
        SliceResult(column="weekday", value="0", rows=336, metric="mae", candidate=55.0, champion=63.1),
        SliceResult(column="holiday", value="0", rows=2256, metric="mae", candidate=58.4, champion=66.2),
    )
    drift = [("temp", True), ("hour", False), ("weekday", False), ("count_168h", True)]
    made: dict[str, Any] = {
        "model": "demand-forecaster",
        "rows": 2352,
        "sample_rows": 2352,
        "contenders": contenders(),
        "differences": {
            "mae": measure(-5.6, -6.6, -4.6),
            "rmse": measure(-7.4, -9.1, -5.8),
            "r2": measure(0.015, 0.012, 0.018),
            "bias": measure(0.9, -0.4, 2.1),
        },
        "checks": checks,
        "slices": slices,
        "drift": tuple(
            DriftResult(column=name, method="Wasserstein", score=0.2, threshold=0.1, drifted=moved)
            for name, moved in drift
        ),
        "warnings": ("The champion saw 14 of the 98 days of the test rows when it was trained.",),
    }
    return verdict(**made | fields)


def forecaster_card(**fields: Any) -> DataCard:
    def at(year: int, month: int, day: int) -> datetime:
        return datetime(year, month, day, tzinfo=UTC)

    made: dict[str, Any] = {
        "model": "demand-forecaster",
        "source": "gs://acme-data/bikes/hourly.parquet",
        "snapshot": "generation 1732462011417",
        "split": "time ts: tested after 2019-05-25T23:00:00, trained up to 2019-05-24T23:00:00",
        "columns": (),
        "train": CardPart(rows=74_917, sha256="3" * 64, time_from=at(2010, 9, 20), time_to=at(2019, 5, 25)),
        "test": CardPart(rows=2_352, sha256="4" * 64, time_from=at(2019, 5, 26), time_to=at(2019, 9, 1)),
        "refused": 41,
        "refused_by_reason": {"temp: out of range -30 to 50 degC": 29, "count: null": 12},
    }
    return data_card(**made | fields)


def story(**fields: Any) -> Story:
    root = "https://mlflow.acme.example/#"
    run = f"{root}/experiments/7/runs/0a1b2c3d"
    links = (
        Link("Version 4 of demand-forecaster in the registry", f"{root}/models/demand-forecaster/versions/4"),
        Link("The run, with every metric and parameter", run),
        Link("The report, as a page", f"{run}/artifacts/report.html"),
    )
    made: dict[str, Any] = {
        "name": "demand-forecaster",
        "version": "4",
        "change": ManifestChange(live_model("3", "b"), live_model("4", "a")),
        "verdict": forecaster_verdict(),
        "card": forecaster_card(),
        "links": links,
    }
    return Story(**made | fields)
