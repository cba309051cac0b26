"""The compiled package as kfp.local can run it."""

from pathlib import Path

from kfp import dsl


def without_resource_name(package: Path) -> None:
    """kfp.local 2.17.0 fills in the run's name and not its resource name: it stops at that placeholder."""
    text = package.read_text(encoding="utf-8")
    assert dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER in text
    package.write_text(text.replace(dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER, ""), encoding="utf-8")
