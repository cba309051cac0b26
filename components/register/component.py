"""The KFP face of the register step."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def register(
    spec: str,
    tracking_uri: str,
    code_version: str,
    run: str,
    run_resource: str,
    texts: str,
    data: dsl.Input[dsl.Dataset],
    candidate: dsl.Input[dsl.Model],
    verdict: dsl.Input[dsl.Artifact],
    report: dsl.Input[dsl.HTML],
    evidently: dsl.Input[dsl.HTML],
    sample: dsl.Input[dsl.Artifact],
    registered: dsl.Output[dsl.Model],
) -> NamedTuple("Outputs", [("version", str)]):  # pyright: ignore[reportInvalidTypeForm]
    """Register the candidate in MLflow, once for each model digest; refuse it unless the verdict is a pass."""
    from pathlib import Path

    from components.artifacts import leave
    from components.register.steps import Candidate, register, registered_facts
    from components.run_name import run_name
    from training.spec.argument import unpack

    (spec,) = unpack([spec], texts)
    evidence = Candidate(
        data=Path(data.path),
        model=Path(candidate.path),
        verdict=Path(verdict.path),
        report=Path(report.path),
        evidently=Path(evidently.path),
        sample=Path(sample.path),
    )
    name = run_name(run, run_resource)
    version = register(spec, tracking_uri, code_version, name, evidence)
    leave(registered, registered_facts(spec, tracking_uri, version, code_version, name, evidence))
    return (version,)
