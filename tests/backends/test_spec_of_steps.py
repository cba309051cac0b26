"""What a spec says about backends: schedules, and how each step is run."""

from typing import Any

import pytest
import yaml
from harness.bike_specs import CODE, spec_with

from pipelines.continuous_training import compile_package
from training.errors import InputError


@pytest.mark.parametrize(
    ("cron", "what"),
    [
        ("30 0 3 * * 1", "has six fields, of which the first is the second: it must be 0"),
        ("@reboot", "is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"),
        ("0 3 * * 1L", "has L or #"),
        ("0 3 * *", "has 4 fields"),
        ("61 3 * * 1", "is no cron expression"),
        ("0 3 31 2 *", "its time never comes"),
        ("0 3 L * *", "has L or #, which not every backend knows"),
        ("TZ=UTC 0 3 * * 1", "begins with a time zone; write it as schedule.time_zone"),
    ],
)
def test_a_cron_that_a_backend_would_read_otherwise_is_refused(cron: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        spec_with(schedule={"cron": cron})
    assert "schedule.cron" in str(caught.value) and what in str(caught.value)


@pytest.mark.parametrize(
    ("cron", "fields"),
    [
        ("0 0 3 * * 1", "0 3 * * 1"),
        ("0 3 ? * MON-FRI", "0 3 * * MON-FRI"),
        ("0 3 1 jan,JUL ?", "0 3 1 jan,JUL *"),
        ("@daily", "0 0 * * *"),
        (" @Weekly", "0 0 * * 0"),
    ],
)
def test_every_way_to_write_a_time_becomes_five_fields(cron: str, fields: str) -> None:
    schedule = spec_with(schedule={"cron": cron}).schedule
    assert schedule and schedule.cron == fields


def test_a_time_zone_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match=r"schedule.time_zone: 'Berlin' is no time zone .* Europe/Berlin"):
        spec_with(schedule={"cron": "0 3 * * 1", "time_zone": "Berlin"})


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ({"trian": {}}, "Did you mean 'train'?"),
        ({"register": {"cache": True}}, "steps.register.cache: unknown key"),
        ({"train": {"resources": {"cpu": "8"}}}, "steps.train.resources: unknown key"),
        ({"evaluate": {"retry_delay": "fast"}}, "steps.evaluate.retry_delay"),
        ({"evaluate": {"machine_type": "big"}}, "steps.evaluate.machine_type"),
    ],
)
def test_what_a_step_can_not_be_told_is_refused_by_name(steps: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError) as caught:
        spec_with(steps=steps)
    assert what in str(caught.value)


def test_size_retries_and_caching_of_a_step_are_in_the_package() -> None:
    spec = spec_with(
        steps={
            "evaluate": {"resources": {"cpu": "4", "memory": "8Gi"}, "cache": False},
            "register": {"retries": 3, "retry_delay": "2m"},
        }
    )
    package = yaml.safe_load(compile_package(spec, CODE, "ostinato"))
    tasks = package["root"]["dag"]["tasks"]
    executors = package["deploymentSpec"]["executors"]
    assert executors["exec-evaluate"]["container"]["resources"]["cpuLimit"] == 4.0
    assert tasks["register"]["retryPolicy"]["maxRetryCount"] == 3
    assert tasks["register"]["retryPolicy"]["backoffDuration"] == "120s"
    assert {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")} == {
        "preprocess", "train"
    }  # fmt: skip
