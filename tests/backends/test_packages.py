"""One authored pipeline, a package for each backend: they differ as docs/how-to/backends.md says only."""

from typing import Any

import pytest
import yaml
from backends.test_spec_of_steps import CODE, spec_with

from pipelines.backends.table import BACKENDS, find_backend
from pipelines.package.package import compile_for
from pipelines.settings.settings import Settings, settings_model
from pipelines.step_names import STEPS
from training.errors import InputError
from training.spec import ModelSpec

IMAGE = "registry.example.org/ostinato@sha256:" + "1" * 64
GPU = {"cpu": "8", "memory": "16Gi", "accelerator": {"type": "nvidia.com/gpu", "vertex_type": "NVIDIA_L4"}}
GIVEN = {
    "vertex": {"secrets": {"OSTINATO_FORGE_TOKEN": "projects/p/secrets/forge/versions/3"}},
    "kubeflow": {
        "node_selector": {"pool": "training"},
        "secrets": {"OSTINATO_FORGE_TOKEN": "forge/token"},
        "spot_node_selector": {"spot": "true"},
    },
}
Package = list[dict[str, Any]]


def spec(**more: Any) -> ModelSpec:
    given = {"resources": GPU, **more.pop("training", {})}
    base = spec_with().model_dump(mode="json")["training"]
    return spec_with(training={**base, **given}, **more)


def some_settings() -> Settings:
    """Read when a test runs, whose environment has none."""
    return settings_model().model_validate(GIVEN)


def package(backend: str, of: ModelSpec, settings: Settings | None = None) -> Package:
    settings = settings or some_settings()
    return list(yaml.safe_load_all(compile_for(backend, of, CODE, IMAGE, "deploy", "", settings)))


def difference(one: Any, other: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every leaf that differs, by its path; a missing one is None."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = {}
        for key in sorted(set(one) | set(other)):
            found |= difference(one.get(key), other.get(key), f"{path}.{key}".lstrip("."))
        return found
    return {} if one == other else {path: (one, other)}


def test_kubeflow_gets_a_second_document_and_the_same_pipeline() -> None:
    (local,), (kubeflow, platform) = package("local", spec()), package("kubeflow", spec())
    assert difference(local, kubeflow) == {}
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == set(local["deploymentSpec"]["executors"])
    assert all(one["nodeSelector"] == {"labels": {"pool": "training"}} for one in executors.values())


def test_vertex_gets_one_document_that_differs_in_the_accelerators_name_and_in_where_secrets_are() -> None:
    (local,), (vertex,) = package("local", spec()), package("vertex", spec())
    found = difference(local, vertex)
    gpu = "deploymentSpec.executors.exec-train.container.resources.accelerator"
    names = {path: pair for path, pair in found.items() if path.startswith(gpu)}
    assert set(names.values()) == {("nvidia.com/gpu", "NVIDIA_L4")}
    rest = {path.rsplit(".", 1)[1] for path in set(found) - set(names)}
    assert rest == {"command", "env"}, found
    executors = vertex["deploymentSpec"]["executors"]
    for name, executor in local["deploymentSpec"]["executors"].items():
        there = executors[name]["container"]
        assert there["command"][-len(executor["container"]["command"]) :] == executor["container"]["command"]
        assert there["env"] == [{"name": "OSTINATO_FORGE_TOKEN_SECRET", "value": "projects/p/secrets/forge/versions/3"}]


def test_without_secrets_and_accelerators_vertex_gets_the_laptops_package() -> None:
    plain = settings_model().model_validate({})
    assert package("vertex", spec_with(), plain) == package("local", spec_with(), plain)


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_what_is_to_be_fresh_is_never_cached_and_the_steps_are_told_the_same_spec(backend: str) -> None:
    usual = package(backend, spec())
    fresh = list(
        yaml.safe_load_all(compile_for(backend, spec(), CODE, IMAGE, "deploy", "", some_settings(), ["preprocess"]))
    )
    (path,) = difference(usual[0], fresh[0])
    assert path == "root.dag.tasks.preprocess.cachingOptions.enableCache" and fresh[1:] == usual[1:]
    none = list(yaml.safe_load_all(compile_for(backend, spec(), CODE, IMAGE, "deploy", "", some_settings(), STEPS)))
    assert not any(task["cachingOptions"] for task in none[0]["root"]["dag"]["tasks"].values())


def test_equal_input_gives_equal_bytes_for_every_backend() -> None:
    for backend in BACKENDS:
        texts = {compile_for(backend, spec(), CODE, IMAGE, "deploy", "", some_settings()) for _ in range(2)}
        assert len(texts) == 1


@pytest.mark.parametrize(
    ("backend", "accelerator", "what"),
    [
        ("kubeflow", {"type": "NVIDIA_L4"}, "training.resources.accelerator.type is 'NVIDIA_L4'"),
        ("vertex", {"type": "nvidia.com/gpu"}, "training.resources.accelerator.vertex_type"),
        ("vertex", {"type": "NVIDIA_L5"}, "Did you mean 'NVIDIA_L4'?"),
        ("vertex", {"type": "NVIDIA_L4", "count": 3}, "NVIDIA_L4 comes as 1, 2, 4, 8"),
    ],
)
def test_a_wrong_pair_is_refused_when_it_is_compiled(backend: str, accelerator: dict[str, Any], what: str) -> None:
    wrong = spec(training={"resources": {**GPU, "accelerator": accelerator}})
    with pytest.raises(InputError) as caught:
        package(backend, wrong)
    assert what in str(caught.value)


def test_spot_is_refused_where_the_settings_do_not_say_which_nodes_those_are() -> None:
    with pytest.raises(InputError, match=r"kubeflow\.spot_node_selector"):
        package("kubeflow", spec(steps={"train": {"spot": True}}), settings_model().model_validate({}))


def test_a_spot_step_differs_in_its_own_executor_only() -> None:
    on_spot = spec(steps={"train": {"spot": True, "retries": 2}})
    plain = spec(steps={"train": {"retries": 2}})
    told = {"spec", "spec_digest", "texts"}  # parameters that tell a step the whole spec
    for backend in BACKENDS:
        places = set()
        for before, after in zip(package(backend, plain), package(backend, on_spot), strict=True):
            places |= {path for path in difference(before, after) if not told & set(path.split("."))}
        assert all("train" in path for path in places), places
        assert bool(places) == (backend != "local")


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="Did you mean 'vertex'"):
        find_backend("vertx")


def test_a_run_that_is_started_in_the_ui_is_offered_the_settings_places_and_every_parameter_says_what_it_is() -> None:
    places = {
        "tracking_uri": "https://mlflow.example.org",
        "manifests_remote": "https://git.example.org/fleet/manifests.git",
        "artifacts_destination": "s3://lake/models",
    }
    settings = some_settings().model_copy(update={**places, "forge": "gitea"})
    for backend, offered in (("kubeflow", {**places, "forge": "gitea"}), ("local", {})):
        parameters = package(backend, spec_with(), settings)[0]["root"]["inputDefinitions"]["parameters"]
        assert all(parameter["description"] for parameter in parameters.values()) and len(parameters) == 9
        defaults = {name: parameter["defaultValue"] for name, parameter in parameters.items()}
        assert {name: value for name, value in defaults.items() if value} == {**offered, "release": "direct"}


def test_a_place_with_a_password_is_in_no_package() -> None:
    settings = some_settings().model_copy(update={"manifests_remote": "https://u:s3cret@git.example.org/m.git"})
    assert "s3cret" not in compile_for("kubeflow", spec_with(), CODE, IMAGE, "deploy", "", settings)
