"""`ostinato schedule apply`: the engine's schedules become those that git has."""

from collections.abc import Callable
from pathlib import Path

from harness.command_line import Finished
from harness.kubeflow.server import KfpServer
from harness.loopback import Fault

Run = Callable[..., Finished]
SCHEDULE = "\nschedule: {cron: '0 3 * * 1', time_zone: UTC}\n"


def spec_of(workspace: Path) -> Path:
    return workspace / "training" / "demand_forecaster" / "spec.yaml"


def apply(on_kubeflow: Run, *more: str) -> str:
    return on_kubeflow("schedule", "apply", "--backend", "kubeflow", *more, expect=0).out


def test_apply_creates_then_keeps_then_changes_then_deletes(kfp: KfpServer, on_kubeflow: Run, workspace: Path) -> None:
    plain = spec_of(workspace).read_text()
    spec_of(workspace).write_text(plain + SCHEDULE)
    assert apply(on_kubeflow) == "create  demand-forecaster: 0 3 * * 1 UTC\n"
    assert apply(on_kubeflow) == "keep    demand-forecaster: 0 3 * * 1 UTC\n"
    assert len(kfp.state.recurring) == 1

    spec_of(workspace).write_text(plain + SCHEDULE.replace("0 3", "30 4"))
    assert apply(on_kubeflow) == "change  demand-forecaster: 0 3 * * 1 UTC -> 30 4 * * 1 UTC\n"
    (there,) = kfp.state.recurring.values()
    assert there["trigger"]["cron_schedule"]["cron"] == "0 30 4 * * 1"

    spec_of(workspace).write_text(plain)
    assert apply(on_kubeflow) == "delete  demand-forecaster: 30 4 * * 1 UTC\n"
    assert not kfp.state.recurring
    assert apply(on_kubeflow) == "no schedules, neither in git nor there\n"


def test_a_dry_run_shows_the_difference_and_changes_nothing(kfp: KfpServer, on_kubeflow: Run, workspace: Path) -> None:
    spec_of(workspace).write_text(spec_of(workspace).read_text() + SCHEDULE)
    assert apply(on_kubeflow, "--dry-run") == "create  demand-forecaster: 0 3 * * 1 UTC\n"
    assert not kfp.state.recurring
    assert on_kubeflow("schedule", "list", "--backend", "kubeflow", expect=0).out == "no schedules there\n"


def test_a_scheduled_run_reads_its_data_anew(kfp: KfpServer, on_kubeflow: Run, workspace: Path) -> None:
    spec_of(workspace).write_text(spec_of(workspace).read_text() + SCHEDULE)
    apply(on_kubeflow)
    (version,) = kfp.state.versions.values()
    spec = version["pipeline_spec"]
    tasks = spec.get("pipeline_spec", spec)["root"]["dag"]["tasks"]
    assert not tasks["preprocess"].get("cachingOptions", {}).get("enableCache")
    assert tasks["train"]["cachingOptions"]["enableCache"]
    (there,) = kfp.state.recurring.values()
    assert there["runtime_config"]["parameters"]["data_snapshot"] == ""


def test_an_engine_that_fails_half_way_is_put_right_by_the_next_apply(
    kfp: KfpServer, on_kubeflow: Run, workspace: Path
) -> None:
    plain = spec_of(workspace).read_text()
    spec_of(workspace).write_text(plain + SCHEDULE)
    apply(on_kubeflow)
    spec_of(workspace).write_text(plain + SCHEDULE.replace("0 3", "30 4"))
    with kfp.lock:
        kfp.faults.append(Fault("DELETE", "", status=403, times=9))
    failed = on_kubeflow("schedule", "apply", "--backend", "kubeflow")
    assert failed.code in (1, 2) and "Traceback" not in failed.err
    kfp.faults.clear()
    apply(on_kubeflow)
    (there,) = kfp.state.recurring.values()
    assert there["trigger"]["cron_schedule"]["cron"] == "0 30 4 * * 1"
