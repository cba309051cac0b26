"""A process that submits, or changes a schedule: `python kfp_client.py ENDPOINT PACKAGE submit|schedule`."""

import dataclasses
import sys
from pathlib import Path

from pipelines.backends.kubeflow.backend_client import KubeflowClient
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.remote import ScheduleEntry, Submission

MODEL = "demand-forecaster"
WANTED = ScheduleEntry(MODEL, "30 4 * * *", "UTC", "sha256:" + "b" * 64)


def main(endpoint: str, package: str, what: str) -> None:
    engine = KubeflowClient(KubeflowSettings(endpoint=endpoint))
    asked = Submission(run=f"{MODEL}-1", model=MODEL, package=Path(package), arguments={}, labels={})
    if what == "submit":
        engine.submit(asked)
        return
    there = engine.schedules()
    old = next((one for one in there if one.digest != WANTED.digest), None)
    engine.put_schedule(dataclasses.replace(WANTED, id=old.id if old else ""), asked)


if __name__ == "__main__":
    main(*sys.argv[1:])
