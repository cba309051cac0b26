"""What google-cloud-pipeline-components itself makes of a step: library_step.yaml is written by this program.

pip download --no-deps google-cloud-pipeline-components==2.22.0 && unzip -d LIBRARY google_cloud_pipeline_components*
PYTHONPATH=LIBRARY:. python tests/vertex/library_step.py > tests/vertex/library_step.yaml
"""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler, dsl

MACHINE = {"machine_type": "g2-standard-4", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
ACCOUNT = "ostinato@acme-ml.iam.gserviceaccount.com"
NETWORK = "projects/12345/global/networks/ml"
KEY = "projects/acme-ml/locations/europe-west4/keyRings/ml/cryptoKeys/runs"
ENV = [{"name": "TOKEN_SECRET", "value": "projects/acme-ml/secrets/token/versions/3"}]

component: Any = dsl.component(base_image="registry.example.org/ostinato", install_kfp_package=False)


@component
def fit(model: str, rows: dsl.Input[dsl.Dataset], fitted: dsl.Output[dsl.Model]) -> None:
    print(model, rows.path, fitted.path)


def compiled(step: Any) -> dict[str, Any]:
    """A pipeline of that step alone."""

    @dsl.pipeline(name="one-step")
    def pipeline(model: str, rows: dsl.Input[dsl.Dataset]):
        step(model=model, rows=rows).set_retry(2)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "package.yaml"
        compiler.Compiler().compile(pipeline, str(path))  # pyright: ignore[reportArgumentType]
        return yaml.safe_load(path.read_text(encoding="utf-8"))


def without_descriptions(value: Any) -> Any:
    """What people read of the job's parameters decides nothing."""
    if isinstance(value, dict):
        return {key: without_descriptions(one) for key, one in value.items() if key != "description"}
    return [without_descriptions(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    from google_cloud_pipeline_components.v1.custom_job import utils  # pyright: ignore[reportMissingImports]

    made = utils.create_custom_training_job_from_component(
        fit, **MACHINE, strategy="SPOT", service_account=ACCOUNT, network=NETWORK, encryption_spec_key_name=KEY, env=ENV
    )
    print(yaml.safe_dump(without_descriptions(compiled(made)), width=120), end="")
