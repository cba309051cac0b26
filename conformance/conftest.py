"""The places of a conformance run, and its report: each promise as held, broken or skipped with the reason.

`make conformance` with KUBECONFIG starts it; docs/how-to/conformance.md says what else can be named.
"""

import json
import os
import secrets
from collections.abc import Iterator

import pytest

from conformance.cluster import apply, kubectl, namespace, read, versions
from conformance.report import Outcome, markdown, write
from conformance.workspace import MODEL, ROOT, Workspace

STORAGE_SECRET = "OSTINATO_CONFORMANCE_STORAGE_SECRET"
REPORT = "OSTINATO_CONFORMANCE_REPORT"
OUTCOMES: list[Outcome] = []
MET: dict[str, str] = {}


def pytest_configure(config: pytest.Config) -> None:
    if not os.environ.get("KUBECONFIG") and not config.option.collectonly:
        pytest.exit("KUBECONFIG is not set: name the cluster, which gets namespaces of its own", returncode=2)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or (report.outcome != "passed" and report.when == "setup"):
        why = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext[-400:]
        state = {"passed": "held", "failed": "broken", "skipped": "skipped"}[report.outcome]
        OUTCOMES.append(Outcome(report.nodeid, state, why.removeprefix("Skipped: ") if state != "held" else ""))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if OUTCOMES:
        text = markdown(OUTCOMES, MET)
        terminalreporter.write_line("")
        terminalreporter.write(text)
        write(text, os.environ.get(REPORT, ""))


@pytest.fixture(scope="session")
def met() -> dict[str, str]:
    """Versions of what is installed; "" for what is not."""
    MET.update(versions())
    return MET


@pytest.fixture(scope="session")
def run_name() -> str:
    return secrets.token_hex(3)


def need(met: dict[str, str], *names: str) -> None:
    """Skip the test where one is not installed."""
    missing = [name for name in names if not met.get(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found in the cluster")


def need_setting(*names: str) -> list[str]:
    """The values of settings; skips the test where one is not given."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not set")
    return [os.environ[name] for name in names]


def fill(name: str) -> str:
    """Bring a namespace the runtime and the store's Secret; gives the Secret's name, "" for a store without one."""
    (image,) = need_setting("OSTINATO_IMAGE")
    runtime = (ROOT / "manifests" / "runtimes" / "ostinato-mlflow.yaml").read_text()
    apply(runtime.replace("ostinato@sha256:" + "0" * 64, image), name)
    source = os.environ.get(STORAGE_SECRET, "")
    if not source:
        return ""
    where, _, secret = source.partition("/")
    found = read("secret", secret, where)
    assert found, f"{STORAGE_SECRET} names {source}, which is not there"
    found["metadata"] = {"name": secret, "annotations": found["metadata"].get("annotations", {})}
    apply(json.dumps(found), name)
    return secret


@pytest.fixture(scope="module")
def served(met: dict[str, str], run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A model of which a first version serves, without Argo CD."""
    need(met, "KServe")
    need_setting("OSTINATO_IMAGE", "OSTINATO_TRACKING_URI")
    with namespace(run_name, "serving") as name:
        workspace = Workspace(tmp_path_factory.mktemp("serving"), name, fill(name))
        workspace.release("2013-06-15")
        workspace.sync()
        workspace.live()
        yield workspace


@pytest.fixture(scope="module")
def followed(met: dict[str, str], run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A model of which Argo CD brought a first version, by docs/how-to/gitops.md."""
    need(met, "KServe", "Argo CD")
    image, _, remote = need_setting("OSTINATO_IMAGE", "OSTINATO_TRACKING_URI", "OSTINATO_MANIFESTS_REMOTE")
    if read("appproject", "ostinato", "argocd") or read("applicationset", "ostinato", "argocd"):
        pytest.skip("Argo CD follows an Ostinato repository already, and there is one of that name")
    with namespace(run_name, "gitops", "-staging") as name:
        fill(f"{name}-staging")
        workspace = Workspace(tmp_path_factory.mktemp("gitops"), name, fill(name), remote)
        set_image(workspace, image)
        workspace.release("2013-06-15")
        try:
            yield workspace
        finally:
            end_following()


def set_image(workspace: Workspace, image: str) -> None:
    """Step 2 of the page: registry and digest of the image, here perhaps a tag that the nodes have."""
    name, at, digest = image.partition("@")
    name, tag = (name, "") if at else (name.rpartition(":")[0], name.rpartition(":")[2])
    path = "runtimes/kustomization.yaml"
    pinned = f"digest: {digest}" if at else f"newTag: {tag}"
    if "0" * 64 in (workspace.checkout() / path).read_text():
        edits = ((path, "registry.example.org/ostinato", name), (path, "digest: sha256:" + "0" * 64, pinned))
        workspace.commit("Set the image", *edits)


def end_following() -> None:
    """Take away what this run told Argo CD; the services go with their namespaces."""
    for kind in ("applicationset", "appproject"):
        kubectl("-n", "argocd", "delete", kind, "ostinato", "--ignore-not-found", expect=None)
    names = (f"ostinato.models.{MODEL}", f"ostinato.models.{MODEL}.staging", "ostinato.runtimes")
    kubectl("-n", "argocd", "delete", "applications.argoproj.io", *names, "--ignore-not-found", expect=None)
    empty = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm, namespace: argocd}\n"
    kubectl("apply", "--server-side", "--field-manager=ostinato-conformance", "--filename=-", expect=None, given=empty)


@pytest.fixture(scope="module")
def kubeflow(met: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that submits to Kubeflow Pipelines."""
    names = ("OSTINATO_KUBEFLOW__ENDPOINT", "OSTINATO_IMAGE", "OSTINATO_TRACKING_URI", "OSTINATO_MANIFESTS_REMOTE")
    *_, remote = need_setting(*names)
    return Workspace(tmp_path_factory.mktemp("kubeflow"), "models", "", remote)
