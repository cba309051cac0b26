#!/usr/bin/env bash
# kfp.local ends in an IndexError at the placeholder of a run's resource name.
#
# kfp 2.17.0: dsl.PIPELINE_JOB_NAME_PLACEHOLDER is filled in by kfp.local, dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER is
# taken for an input of the step, and the run ends before it. Both compile, and both are filled in by Kubeflow Pipelines.
#
# Run: bash findings/kfp-local-knows-the-runs-name-and-not-its-resource-name.sh. Ends with 0 while this holds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kfp==2.17.0
cd "$folder"
cat > run.py <<'PYTHON'
from kfp import dsl, local

local.init(local.SubprocessRunner(use_venv=False), pipeline_root="out", raise_on_error=True)


@dsl.component(install_kfp_package=False)
def show(name: str) -> str:
    return name


@dsl.pipeline
def by_name() -> str:
    return show(name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER).output


@dsl.pipeline
def by_resource_name() -> str:
    return show(name=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER).output


name = by_name().output
print("name:", name)
assert name.startswith("by-name-")
try:
    by_resource_name()
except IndexError as error:
    print("resource name: IndexError:", error)
else:
    raise SystemExit("the resource name is filled in now")
PYTHON
venv/bin/python run.py
