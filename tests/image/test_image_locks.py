"""The image's locks: with hashes, of the versions that the tests ran with, and without tools."""

import re
import tomllib

import pytest
from image.dockerfile import ROOT, locked

LOCKS = ("requirements-image.lock", "requirements-cuda.lock", "requirements-uv.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
IMAGE = locked(ROOT / "requirements-image.lock")
TESTED = locked(ROOT / "requirements.lock")
LANGUAGE = locked(ROOT / "requirements-llm.lock")
CUDA = locked(ROOT / "requirements-cuda.lock")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~!; ]", one)[0].lower().replace("_", "-") for one in requirements}


def makes(variable: str) -> str:
    """A variable of the Makefile."""
    return re.findall(rf"^{variable} := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[0]


def test_the_image_has_the_versions_that_the_tests_run_with() -> None:
    assert {name: (own, TESTED[name]) for name, own in IMAGE.items() if own != TESTED.get(name, own)} == {}


def test_the_image_has_all_that_the_project_needs_and_every_extra_but_the_language_models() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [one for extra in set(extras) - {"llm"} for one in extras[extra]]
    assert names([*PROJECT["project"]["dependencies"], *wanted]) <= set(IMAGE)
    assert set(IMAGE).isdisjoint({"torch", "transformers", "peft", "trl"})


def test_no_tool_of_tests_or_development_is_in_the_image() -> None:
    extras = [one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra]
    tools = names(PROJECT["dependency-groups"]["dev"]) - names(extras)
    assert {"pytest", "ruff", "pyright", "uv"} <= tools
    assert set(IMAGE).isdisjoint(tools) and set(CUDA).isdisjoint(tools)


def test_cuda_adds_torch_in_the_version_of_the_makefile_and_else_the_other_locks_versions() -> None:
    assert CUDA["torch"] == {makes("TORCH")}
    assert any(name.startswith("nvidia-") for name in CUDA)
    for name, versions in CUDA.items():
        for other in (IMAGE, LANGUAGE):
            assert versions <= other.get(name, versions), f"{name}: {versions} and {other[name]}"


def test_on_cuda_the_language_models_libraries_replace_none_of_the_others() -> None:
    assert {name: (own, IMAGE[name]) for name, own in LANGUAGE.items() if own != IMAGE.get(name, own)} == {}


def test_the_installer_is_the_makefiles() -> None:
    assert locked(ROOT / "requirements-uv.lock") == {"uv": {makes("UV")}}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_has_a_hash_and_none_names_a_registry(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.M), flags=re.M)
    entries = [entry for entry in entries if entry.strip()]
    assert entries and all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text and "--find-links" not in text and "--index-url" not in text
