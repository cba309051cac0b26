# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
# kfp's decorators turn functions into components: outputs are no arguments, and a pipeline is no function.
"""The pipeline: take new data, train, judge the candidate against the living champion, register it, hand it over.

`compile_package` makes the IR package that every backend runs: this machine, Kubeflow Pipelines, Vertex AI.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kfp import compiler, dsl
from kfp.dsl import PipelineTask

from components.champion.component import champion
from components.deploy.component import deploy
from components.evaluate.component import evaluate
from components.preflight.component import preflight
from components.preprocess.component import preprocess
from components.register.component import register
from components.train.component import train
from pipelines.plain_if import no_plain_if
from pipelines.step_names import STEPS
from training.spec import ModelSpec, Step, StepResources, parse_duration
from training.spec.argument import pack, texts_digest

PrepareTask = Callable[[PipelineTask, str], None]
"""Takes a task and the name of its step."""


def continuous_training(
    spec: ModelSpec, code: Mapping[str, str], image: str, until: str, export: str, prepare_task: PrepareTask | None
):
    """The pipeline of one model as a KFP graph component.

    spec: baked into the package. code: digest of the code of each step, part of its cache key. image: that the
    steps' containers run. until: the last step. export: what train writes for the serving runtime besides the
    MLflow folder. prepare_task: what the backend asks of each step.
    """
    whole, data, training = (part.canonical_json() for part in (spec, spec.data, spec.training))
    quality, proven, base = spec.quality.canonical_json(), spec.serving.proven_json(), _base_model(spec)
    task = spec.task

    def includes(step: str) -> bool:
        return STEPS.index(step) <= STEPS.index(until)

    def run_as(task: PipelineTask, step: str) -> None:
        _size(task, spec.steps.of(step), spec.resources_of(step)[1])
        if prepare_task is not None:
            prepare_task(task, step)

    @dsl.pipeline(name=spec.name, description=spec.description)
    @no_plain_if
    def pipeline(
        data_uri: str = "",
        data_snapshot: str = "",
        as_of: str = "",
        tracking_uri: str = "",
        manifests_remote: str = "",
        artifacts_destination: str = "",
        forge: str = "",
        release: str = spec.release.mode,
        code_version: str = "",
    ):
        """What a run is given.

        Args:
            data_uri: Address of the rows. Empty: data.source of spec.yaml.
            data_snapshot: Identity of the data for the cache. Empty: changed data may be taken for the old.
            as_of: Date or time until which rows are used, such as 2026-01-31. Empty: all rows.
            tracking_uri: Address of the MLflow server.
            manifests_remote: Address of the git repository with the manifests of what is live.
            artifacts_destination: Where the MLflow server keeps artifacts, if it hands them out itself.
            forge: Where pull requests are opened. Empty: what the host of manifests_remote says.
            release: direct, or pull-request.
            code_version: Commit of the code, for the evidence. Empty: the release names none.
        """
        checked = None
        if includes("evaluate"):
            # Never cached: it says what holds now. Train waits for it, so that nothing is computed in vain.
            checked = preflight(
                spec=pack(whole),
                texts=texts_digest([whole]),
                tracking_uri=tracking_uri,
                manifests_remote=manifests_remote,
                release=release,
                until=until,
                artifacts_destination=artifacts_destination,
                forge=forge,
            ).set_container_image(image)
            run_as(checked, "preflight")
        rows = preprocess(
            model=spec.name,
            data_spec=pack(data),
            data_uri=data_uri,
            data_snapshot=data_snapshot,
            as_of=as_of,
            code=code["preprocess"],
            texts=texts_digest([data]),
        ).set_container_image(image)
        run_as(rows, "preprocess")
        dataset = rows.outputs["data"]
        if not includes("train"):
            return

        trained = train(
            model=spec.name,
            task=task,
            data_spec=pack(data),
            training_spec=pack(training),
            export=export,
            code=code["train"],
            texts=texts_digest([data, training]),
            data=dataset,
        ).set_container_image(image)
        if checked is not None:
            trained.after(checked)
        run_as(trained, "train")
        candidate = trained.outputs["candidate"]
        if not includes("evaluate"):
            return

        # Never cached: it reads which version git says is live, so that a verdict is never about a past champion.
        live = champion(
            model=spec.name, manifests_remote=manifests_remote, tracking_uri=tracking_uri, candidate=candidate
        ).set_container_image(image)
        run_as(live, "champion")
        judged = evaluate(
            model=spec.name,
            task=task,
            data_spec=pack(data),
            quality_spec=pack(quality),
            serving_spec=pack(proven),
            base_model=pack(base),
            champion_version=live.outputs["version"],
            spec_digest=spec.digest(),
            code=code["evaluate"],
            texts=texts_digest([data, quality, proven, base]),
            data=dataset,
            candidate=candidate,
            champion=live.outputs["champion"],
        ).set_container_image(image)
        run_as(judged, "evaluate")
        verdict = judged.outputs["verdict"]
        if not includes("register"):
            return

        # Register refuses a verdict that is not a pass, which makes the run red; a condition here would leave it green.
        registered = register(
            spec=pack(whole),
            texts=texts_digest([whole]),
            tracking_uri=tracking_uri,
            code_version=code_version,
            run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            run_resource=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
            data=dataset,
            candidate=candidate,
            verdict=verdict,
            report=judged.outputs["report"],
            evidently=judged.outputs["evidently"],
            sample=judged.outputs["sample"],
        ).set_container_image(image)
        run_as(registered, "register")
        if not includes("deploy"):
            return

        deployed = deploy(
            spec=pack(whole),
            texts=texts_digest([whole]),
            tracking_uri=tracking_uri,
            manifests_remote=manifests_remote,
            version=registered.outputs["version"],
            release=release,
            code_version=code_version,
            run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            run_resource=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
            verdict=verdict,
            artifacts_destination=artifacts_destination,
            forge=forge,
        ).set_container_image(image)
        run_as(deployed, "deploy")

    return pipeline


def _base_model(spec: ModelSpec) -> str:
    base = spec.training.base_model
    return base.canonical_json() if base else ""


def _size(task: PipelineTask, step: Step, resources: StepResources | None) -> None:
    """How a backend runs the step: its container's requests and limits, retries, caching."""
    if resources:
        task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
        task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
        if resources.accelerator:
            task.set_accelerator_type(resources.accelerator.type)
            task.set_accelerator_limit(resources.accelerator.count)
    if step.retries:
        delay = int(parse_duration(step.retry_delay).total_seconds())
        task.set_retry(step.retries, backoff_duration=f"{delay}s", backoff_factor=2.0)
    if not getattr(step, "cache", False):
        task.set_caching_options(False)


def compile_package(
    spec: ModelSpec,
    code: Mapping[str, str],
    image: str,
    until: str = "deploy",
    export: str = "",
    prepare_task: PrepareTask | None = None,
) -> str:
    """The IR package as YAML text; arguments as of :func:`continuous_training`. Equal input gives equal bytes."""
    return compiled(continuous_training(spec, code, image, until, export, prepare_task))


def compiled(pipeline: Any) -> str:
    """The IR package of a graph component as YAML text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "package.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return path.read_text(encoding="utf-8")
