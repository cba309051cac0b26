# pyright: reportCallIssue=false, reportArgumentType=false
# kfp's decorators turn functions into components: outputs are no arguments, and a pipeline is no function.
"""The drift watch as a pipeline of one step, for a backend's schedule."""

from kfp import dsl

from components.drift.component import drift_watch as drift_watch_step
from pipelines.continuous_training import compiled
from training.errors import InputError
from training.spec import ModelSpec
from training.spec.argument import pack, texts_digest

CPU, MEMORY = "1", "2Gi"


def drift_watch(spec: ModelSpec, image: str):
    """The watch of one model as a KFP graph component. spec: baked into the package. image: of the container."""

    text = spec.canonical_json()

    @dsl.pipeline(name=f"{spec.name}-drift", description=f"Drift watch of {spec.name}")
    def pipeline(
        tracking_uri: str = "", manifests_remote: str = "", source: str = "", as_of: str = "", events_url: str = ""
    ):
        step = drift_watch_step(
            spec=pack(text),
            texts=texts_digest([text]),
            tracking_uri=tracking_uri,
            manifests_remote=manifests_remote,
            source=source,
            as_of=as_of,
            events_url=events_url,
        ).set_container_image(image)
        step.set_cpu_request(CPU).set_cpu_limit(CPU).set_memory_request(MEMORY).set_memory_limit(MEMORY)
        # Never cached: it reads the clock, the live data and git.
        step.set_caching_options(False)

    return pipeline


def compile_drift_watch(spec: ModelSpec, image: str) -> str:
    """The IR package as YAML text; equal input gives equal bytes. Raises InputError without a `drift_watch`."""
    if spec.drift_watch is None:
        raise InputError(
            f"{spec.name} has no drift_watch in its spec.yaml; add it, `drift_watch: {{}}` takes the defaults"
        )
    return compiled(drift_watch(spec, image))
