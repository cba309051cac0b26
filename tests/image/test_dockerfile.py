"""What the Dockerfile promises, read without a builder."""

import re
import shlex

import pytest
from image.dockerfile import ROOT, parse

FILE = parse((ROOT / "Dockerfile").read_text(encoding="utf-8"))
TARGETS = ("cpu", "cuda")


def test_the_base_is_pinned_by_digest_and_all_stages_come_from_it() -> None:
    assert list(FILE.arguments) == ["BASE"]
    assert re.fullmatch(r"[a-z.]+/[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}", FILE.arguments["BASE"])
    before: set[str] = {"${BASE}"}
    for stage in FILE.stages:
        assert stage.base in before and stage.name
        before.add(stage.name)


def test_what_is_built_without_a_target_is_the_image_for_the_cpu() -> None:
    assert FILE.stages[-1].name == "cpu"


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_number_that_is_not_root(target: str) -> None:
    # Kubernetes' runAsNonRoot can't be checked against a name.
    users = [user for stage in FILE.chain(target) for user in stage.all("USER")]
    assert users[-1] == "10001:10001"
    assert FILE.chain(target)[-1].instructions[-1][0] == "USER"


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_the_commit_in_its_labels_and_its_environment(target: str) -> None:
    last = FILE.chain(target)[-1]
    (labels,) = last.all("LABEL")
    given = dict(part.split("=", 1) for part in shlex.split(labels))
    assert given["org.opencontainers.image.revision"] == "${COMMIT}"
    assert given["org.opencontainers.image.created"] == "${CREATED}"
    assert last.all("ENV") == ["OSTINATO_CODE_VERSION=${COMMIT}"]
    # A commit above the libraries would install them again for each one.
    first = next(index for index, (word, rest) in enumerate(last.instructions) if rest.startswith("COMMIT"))
    assert all(word == "COPY" for word, _ in last.instructions[:first])


@pytest.mark.parametrize("target", TARGETS)
def test_code_is_the_last_layer_and_has_its_bytecode(target: str) -> None:
    assert FILE.chain(target)[-1].all("COPY") == ["--from=code /workspace /workspace"]
    (compiled,) = [run for stage in FILE.chain("code") for run in stage.all("RUN") if "compileall" in run]
    assert "--invalidation-mode checked-hash" in compiled


def test_nothing_is_installed_without_its_hash_but_debian_packages() -> None:
    runs = [re.sub(r"--mount=\S+", "", run) for stage in FILE.stages for run in stage.all("RUN")]
    commands = [part.strip() for run in runs for part in run.split("&&")]
    installs = [command for command in commands if "pip install" in command]
    assert len(installs) == 4
    for command in installs:
        words = shlex.split(command)
        assert "--require-hashes" in words and words[-2] == "-r"
        assert words[-1].startswith("/locks/requirements-") and (ROOT / words[-1].removeprefix("/locks/")).is_file()
    others = {"apt-get", "rm", "groupadd", "useradd", "python3", "python", "echo", "printf", "chmod", "cd", "find"}
    first_words = {command.split()[0] for command in commands if command not in installs}
    assert first_words <= others


def test_nothing_is_fetched_from_an_address_and_no_secret_has_a_place_in_the_image() -> None:
    words = {word for stage in FILE.stages for word, _ in stage.instructions}
    assert words == {"ARG", "COPY", "ENV", "LABEL", "RUN", "USER", "WORKDIR"}
    text = " ".join(rest for stage in FILE.stages for _, rest in stage.instructions)
    assert "://" not in text
    assert {argument.split("=")[0] for stage in FILE.stages for argument in stage.all("ARG")} == {"COMMIT", "CREATED"}
    assert not re.search(r"TOKEN|PASSWORD|INDEX_URL|FIND_LINKS|DONTWRITEBYTECODE", text)


def test_the_installer_is_no_part_of_an_image() -> None:
    for target in TARGETS:
        assert "installer" not in [stage.name for stage in FILE.chain(target)]


def test_what_the_image_is_made_of_is_let_through_to_the_builder_and_nothing_else() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [rule for rule in rules if not rule.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied: set[str] = set()
    for stage in FILE.stages:
        for copy in stage.all("COPY"):
            words = copy.split()
            copied |= set() if words[0].startswith("--from") else set(words[:-1])
    # A pattern, since a workspace need not have one.
    assert "serving-runtimes.yam[l]" in copied
    assert let_in == copied - {"serving-runtimes.yam[l]"} | {"serving-runtimes.yaml"}
    assert all((ROOT / name).exists() for name in let_in - {"serving-runtimes.yaml"})
