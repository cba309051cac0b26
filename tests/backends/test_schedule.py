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
    assert apply(on_kubeflow) == "no schedules, neither in git nor at kubeflow\n"


def test_a_dry_run_shows_the_difference_and_changes_nothing(kfp: KfpServer, on_kubeflow: Run, workspace: Path) -> None:
    spec_of(workspace).write_text(spec_of(workspace).read_text() + SCHEDULE)
    assert apply(on_kubeflow, "--dry-run") == "create  demand-forecaster: 0 3 * * 1 UTC\n"
    assert not kfp.state.recurring
    assert on_kubeflow("schedule", "list", "--backend", "kubeflow", expect=0).out == "no schedules at kubeflow\n"


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


def test_a_commit_that_changes_nothing_for_a_model_leaves_its_schedule_alone(
    kfp: KfpServer, on_kubeflow: Run, workspace: Path
) -> None:
    spec = spec_of(workspace)
    spec.write_text(spec.read_text() + SCHEDULE)
    first = {"OSTINATO_IMAGE": "registry.example.org/ostinato@sha256:" + "1" * 64, "OSTINATO_CODE_VERSION": "1" * 40}
    second = {"OSTINATO_IMAGE": "registry.example.org/ostinato@sha256:" + "2" * 64, "OSTINATO_CODE_VERSION": "2" * 40}
    on_kubeflow("schedule", "apply", "--backend", "kubeflow", expect=0, **first)
    (recurring,) = kfp.state.recurring.values()
    kept = on_kubeflow("schedule", "apply", "--backend", "kubeflow", expect=0, **second)
    assert kept.out == "keep    demand-forecaster: 0 3 * * 1 UTC\n"
    assert list(kfp.state.recurring.values()) == [recurring]
    model = spec.with_name("model.py")
    model.write_text(model.read_text() + "\nOTHER = 1\n")
    changed = on_kubeflow("schedule", "apply", "--backend", "kubeflow", expect=0, **second)
    assert changed.out == "change  demand-forecaster: 0 3 * * 1 UTC, with other code, settings or arguments\n"


def test_a_schedule_that_git_has_no_more_waits_for_the_run_that_it_started(
    kfp: KfpServer, on_kubeflow: Run, workspace: Path
) -> None:
    plain = spec_of(workspace).read_text()
    spec_of(workspace).write_text(plain + SCHEDULE)
    apply(on_kubeflow)
    (recurring,) = kfp.state.recurring.values()
    run = {"run_id": "9", "display_name": "x", "created_at": "2026-03-02T03:00:00Z", "state": "RUNNING"}
    run |= {"experiment_id": recurring["experiment_id"], "recurring_run_id": recurring["recurring_run_id"]}
    kfp.state.runs["9"] = run
    spec_of(workspace).write_text(plain)
    assert apply(on_kubeflow) == (
        "delete  demand-forecaster: 0 3 * * 1 UTC, off; a run of it goes on, and the next apply after that deletes it\n"
    )
    assert recurring["status"] == "DISABLED" and not kfp.state.killed
    run["state"] = "FAILED"
    assert apply(on_kubeflow) == "delete  demand-forecaster: 0 3 * * 1 UTC\n"
    assert not kfp.state.recurring
