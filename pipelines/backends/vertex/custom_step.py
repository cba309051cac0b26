"""A step on a machine of its own choice: Vertex AI's pipelines give that to custom jobs only, so the step becomes a
small one that starts a custom job with the step's own container, and waits for it.

What is written here is what `create_custom_training_job_from_component` of google-cloud-pipeline-components 2.22
(Apache-2.0) writes. The library itself can't be installed beside google-cloud-aiplatform 2.
"""

from typing import Any

from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError

IMAGE = "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.22.0"
LAUNCHER = "google_cloud_pipeline_components.container.v1.custom_job.launcher"
LONGEST = "604800s"
"""Seven days, after which Vertex AI ends a custom job."""
BOOT_DISK = {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": 100}
KINDS = {str: "STRING", bool: "BOOLEAN", list: "LIST", dict: "STRUCT"}


def as_custom_job(
    package: dict[str, Any], step: str, machine: dict[str, Any], spot: bool, settings: VertexSettings
) -> None:
    """Turn a step of the package into one that starts a custom job.

    machine: a MachineSpec by the names of its fields. Raises InputError for a step with an input that is named like
    one of the custom job's.
    """
    component = package["components"][f"comp-{step}"]
    executor = package["deploymentSpec"]["executors"][component["executorLabel"]]
    defaults = _defaults(step, _pool(executor["container"], machine), spot, settings)
    inputs = component.setdefault("inputDefinitions", {}).setdefault("parameters", {})
    taken = sorted(inputs.keys() & defaults.keys())
    if taken:
        raise InputError(f"step {step} can't run as a custom job: its input {taken[0]} is one of the job's own")
    inputs |= {name: _parameter(value) for name, value in defaults.items()}
    outputs = component.setdefault("outputDefinitions", {}).setdefault("parameters", {})
    outputs["gcp_resources"] = {"parameterType": "STRING"}
    executor["container"] = _launcher()


def _pool(container: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """The step's own container as a pool of one machine. What KFP tells it is text within text here, so escaped."""
    escaped = {"{{$}}": "{{$.json_escape[1]}}"}
    return {
        "machine_spec": machine,
        "replica_count": 1,
        "container_spec": {
            "image_uri": container["image"],
            "command": [escaped.get(word, word) for word in container.get("command", [])],
            "args": [escaped.get(word, word) for word in container.get("args", [])],
            "env": container.get("env", []),
        },
        "disk_spec": BOOT_DISK,
    }


def _defaults(step: str, pool: dict[str, Any], spot: bool, settings: VertexSettings) -> dict[str, Any]:
    return {
        "display_name": step,
        "worker_pool_specs": [pool],
        "timeout": LONGEST,
        "restart_job_on_worker_restart": False,
        "strategy": "SPOT" if spot else "STANDARD",
        "max_wait_duration": "86400s",
        # A custom job without one runs as Vertex AI's own agent, not as the pipeline.
        "service_account": settings.service_account or "{{$.pipeline_service_account}}",
        "tensorboard": "",
        "enable_web_access": False,
        "network": settings.network,
        "reserved_ip_ranges": [],
        "base_output_directory": "",
        "labels": {},
        "encryption_spec_key_name": settings.encryption_key,
        "persistent_resource_id": "{{$.pipeline_persistent_resource_id}}",
        "psc_interface_config": {},
        "location": "{{$.pipeline_google_cloud_location}}",
        "project": "{{$.pipeline_google_cloud_project_id}}",
    }


def _parameter(value: Any) -> dict[str, Any]:
    given = {} if value in ([], {}) else {"defaultValue": value}
    return {**given, "isOptional": True, "parameterType": KINDS[type(value)]}


def _launcher() -> dict[str, Any]:
    def text(name: str) -> str:
        return f'"{value(name)}"'

    def value(name: str) -> str:
        return f"{{{{$.inputs.parameters['{name}']}}}}"

    scheduling = (
        f'{{"timeout": {text("timeout")}, "restart_job_on_worker_restart": {value("restart_job_on_worker_restart")}, '
        f'"strategy": {text("strategy")}, "max_wait_duration": {text("max_wait_duration")}}}'
    )
    job = (
        f'{{"worker_pool_specs": {value("worker_pool_specs")}, "scheduling": {scheduling}, '
        f'"service_account": {text("service_account")}, "tensorboard": {text("tensorboard")}, '
        f'"enable_web_access": {value("enable_web_access")}, "network": {text("network")}, '
        f'"reserved_ip_ranges": {value("reserved_ip_ranges")}, '
        f'"base_output_directory": {{"output_uri_prefix": {text("base_output_directory")}}}, '
        f'"persistent_resource_id": {text("persistent_resource_id")}, '
        f'"psc_interface_config": {value("psc_interface_config")}}}'
    )
    payload = (
        f'{{"display_name": {text("display_name")}, "job_spec": {job}, "labels": {value("labels")}, '
        f'"encryption_spec": {{"kms_key_name": {text("encryption_spec_key_name")}}}}}'
    )
    return {
        "image": IMAGE,
        "command": ["python3", "-u", "-m", LAUNCHER],
        "args": [
            *("--type", "CustomJob"),
            *("--payload", payload),
            *("--project", value("project")),
            *("--location", value("location")),
            *("--gcp_resources", "{{$.outputs.parameters['gcp_resources'].output_file}}"),
        ],
    }
