"""A text that Kubernetes would refuse, or take and never run, is refused before training: each rule from both sides."""

import json
from typing import Any

import pytest
from harness.candidates import model_spec

from training.errors import InputError
from training.spec import Accelerator, Resources, ServingSpec, parse_spec

LABEL = "a" * 63
DNS = ".".join(["a" * 63] * 3 + ["a" * 61])
"""253 characters."""


def secret(key: str, name: str = "s") -> dict[str, Any]:
    return {"secret_env": {"TOKEN": {"secret": name, "key": key}}}


def gateway(hostname: str, name: str = "g", namespace: str = "n") -> dict[str, Any]:
    return {"gateway": {"name": name, "namespace": namespace, "hostname": hostname}}


def prometheus(**fields: Any) -> dict[str, Any]:
    trigger = {"address": "http://prometheus", "query": "up", "target": 1, **fields}
    return {"scaling": {"autoscaler": "keda", "prometheus": trigger}}


RIGHT: list[dict[str, Any]] = [
    *({"storage_secret": name} for name in ("a", "a-b.c9", "1", DNS)),
    *({"image_pull_secrets": [name]} for name in ("a.b", DNS)),
    *({"namespace": name} for name in ("1", "a-b", "a" * 36)),
    {"runtime": DNS},
    *({"model_format": name} for name in ("vLLM", "a_b.c", LABEL)),
    *({"node_selector": {key: "x"}} for key in ("a", "A_b.c", LABEL, f"{DNS}/{LABEL}", "kubernetes.io/arch")),
    *({"node_selector": {"zone": value}} for value in ("", "A_b.c", "1", LABEL)),
    *({"tolerations": [{"key": key, "value": "x"}]} for key in ("a", f"{DNS}/{LABEL}")),
    *({"tolerations": [toleration]} for toleration in ({"key": ""}, {"key": "a", "value": LABEL})),
    *(secret(key) for key in (".a", ".a..", "-", "a" * 253, "key.PEM_1")),
    secret("k", DNS),
    *({"secret_env": {name: {"secret": "s", "key": "k"}}} for name in ("_", "hf_TOKEN1")),
    *({"service_account_annotations": {key: "x"}} for key in ("a", "EKS.amazonaws.com/Role-ARN", f"{DNS}/{LABEL}")),
    *({"service_account_annotations": {"a": value}} for value in ("", "é: {}\n\t", "x" * (256 * 1024 - 1))),
    *(gateway(host) for host in ("a", "demand.example.com", "1a.2b", DNS)),
    gateway("a", name=DNS, namespace=LABEL),
    *({"payload_log": {"url": url}} for url in ("http://sink", "https://a.b.:65535/x?y=%20#z", "http://[::1]:1")),
    *(prometheus(**field) for field in ({"address": "http://10.0.0.1:9090/"}, {"query": 'sum(a{b="é"})\n'})),
    prometheus(target=2**31 - 1),
    *({"oci_repository": uri} for uri in ("oci://r/a", "oci://r.example.org:5000/a/b__c-d", "oci://127.0.0.1:1/a")),
    {"oci_repository": "oci://r/a", "oci_base": f"oci://r/b/c@sha256:{'0' * 64}"},
    {"scaling": {"max_replicas": 2**31 - 1}},
]  # fmt: skip

WRONG: list[tuple[dict[str, Any], str]] = [
    *(({"storage_secret": name}, "serving.storage_secret: this is not the name of a Kubernetes object: write")
      for name in ("", "A", "a..b", "-a", "a-", "a.", ".a", "a_b", "a.-b", "a\n")),
    ({"storage_secret": f"a{DNS}"}, "serving.storage_secret: 254 characters of the name of a Kubernetes object"),
    ({"image_pull_secrets": ["a", "a..b"]}, "serving.image_pull_secrets.1: this is not the name of"),
    *(({"namespace": name}, "serving.namespace: this is not a namespace: write") for name in ("a.b", "A", "")),
    ({"namespace": f"a{LABEL}"}, "serving.namespace: 64 characters of a namespace, and 63 are allowed"),
    ({"runtime": "a..b"}, "serving.runtime: this is not the name of"),
    *(({"model_format": name}, "serving.model_format: this is not the name of a model format") for name in ("", "a b")),
    *(({"node_selector": {key: "x"}}, "serving.node_selector: this is not the key of a label: write letters, digits")
      for key in ("", "-a", "a-", "a b", "a/b/c", "/a", "a/", "a..b/c", "A.b/c", "ä")),
    ({"node_selector": {f"a{LABEL}": "x"}}, "serving.node_selector: 64 characters on a side of the slash of the key"),
    ({"node_selector": {f"a{DNS}/a": "x"}}, "serving.node_selector: 254 characters on a side of the slash of the key"),
    *(({"node_selector": {"zone": value}}, "serving.node_selector.zone: this is not the value of a label")
      for value in ("-", "a b", "a/b", "a_")),
    ({"node_selector": {"zone": f"a{LABEL}"}}, "serving.node_selector.zone: 64 characters of the value of a label"),
    ({"tolerations": [{"key": "a b"}]}, "serving.tolerations.0.key: this is not the key of a taint"),
    ({"tolerations": [{"key": "a/"}]}, "serving.tolerations.0.key: this is not the key of a taint"),
    ({"tolerations": [{"key": "a", "value": "b c"}]}, "serving.tolerations.0.value: this is not the value of a label"),
    ({"tolerations": [{"key": "", "value": "b"}]}, "serving.tolerations.0: value is 'b', and there is no key"),
    ({"tolerations": [{"key": "a", "effect": "NoStart"}]}, "serving.tolerations.0.effect: Input should be"),
    *((secret(key), "serving.secret_env.TOKEN.key: this is not a key of a Secret: write letters, digits")
      for key in ("", ".", "..", "..a", "a b", "a/b", "é")),
    (secret("a" * 254), "serving.secret_env.TOKEN.key: 254 characters of a key of a Secret, and 253 are allowed"),
    (secret("k", "a..b"), "serving.secret_env.TOKEN.secret: this is not the name of"),
    *(({"secret_env": {name: {"secret": "s", "key": "k"}}}, "serving.secret_env: this is not an environment variable")
      for name in ("", "1A", "A-B", "A=B", "A B")),
    *(({"service_account_annotations": {key: "x"}}, "serving.service_account_annotations: this is not the key of an")
      for key in ("", "a b", "a/b/c", "a..b/c", "/a", "a/")),
    *(({"service_account_annotations": {key: "x"}}, "serving.service_account_annotations: ") for key in
      (f"a{LABEL}", f"a{DNS}/a", "argocd.argoproj.io/hook", "helm.sh/hook", "ostinato.dev/x", "Argocd.argoproj.io/x",
       "kubectl.kubernetes.io/last-applied-configuration")),
    ({"service_account_annotations": {"a": "x" * (256 * 1024)}}, "262145 bytes, and Kubernetes takes 262144"),
    ({"service_account_annotations": {"a": "\0"}}, "serving.service_account_annotations.a: this is not a text"),
    *((gateway(host), "serving.gateway.hostname: this is not a host name: write its parts")
      for host in ("a..b", "", "A.b", "*.example.com", "10.0.0.1", "a:80", "-a.b", f"a{LABEL}.b", "a_b")),
    (gateway(f"a{DNS}"), "serving.gateway.hostname: 254 characters of a host name"),
    (gateway("a", name="a..b"), "serving.gateway.name: this is not the name"),
    (gateway("a", namespace="a.b"), "serving.gateway.namespace: this is not a namespace"),
    *(({"payload_log": {"url": url}}, "serving.payload_log.url: this is not an http address: write http:// or")
      for url in ("sink", "ftp://a", "http://", "http://a..b", "http://a:0", "http://a:65536", "http://a-:1", "http://-a",
                  "http://u@a", "http://u:p@a/", "http://a/é", "http://a b")),
    (prometheus(address="http://a:x"), "serving.scaling.prometheus.address: this is not an http address"),
    (prometheus(query=""), "serving.scaling.prometheus.query: this is not a text: write"),
    (prometheus(target=2**31), "serving.scaling.prometheus.target: Input should be less than or equal to 2147483647"),
    *(({"oci_repository": uri}, "serving.oci_repository: this is not an image repository: write oci://host/name")
      for uri in ("oci://r", "oci://r/A", "oci://r/a:1", "oci://r/a@sha256:0", "oci://r:65536/a", "oci://r/a..b",
                  "oci://r//a", "r/a", "oci://r/a/")),
    ({"oci_repository": f"oci://r/{'a' * 254}"}, "serving.oci_repository: 262 characters of an image repository"),
    *(({"oci_repository": "oci://r/a", "oci_base": uri}, "serving.oci_base: this is not an image by its digest")
      for uri in ("oci://r/a", "oci://r/a@sha256:0", f"oci://r/A@sha256:{'0' * 64}")),
    ({"scaling": {"max_replicas": 2**31}}, "serving.scaling.max_replicas: Input should be less than or equal to"),
]  # fmt: skip


def validated(serving: dict[str, Any]) -> ServingSpec:
    """A spec with this part, read as a file is."""
    return parse_spec(json.dumps({**model_spec().model_dump(mode="json"), "serving": serving}), "spec.yaml").serving


@pytest.mark.parametrize("serving", RIGHT, ids=lambda serving: str(serving)[:60])
def test_what_kubernetes_takes_is_taken(serving: dict[str, Any]) -> None:
    assert validated(serving)


@pytest.mark.parametrize(("serving", "message"), WRONG, ids=lambda value: str(value)[:60])
def test_what_kubernetes_does_not_take_is_refused_with_field_value_and_fix(
    serving: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        validated(serving)
    assert message in str(caught.value)
    assert "1 wrong field(s)" in str(caught.value)


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "nvidia.com/mig-1g.5gb", f"{'a' * 244}/{LABEL}", "amd.com/GPU_1"])
def test_an_accelerator_is_an_extended_resource(name: str) -> None:
    assert Accelerator(type=name)


@pytest.mark.parametrize("name", [
    *("gpu", "nvidia.com/", "/gpu", "nvidia.com/a/b", "kubernetes.io/gpu", "x.kubernetes.io/gpu", "requests.x.com/gpu"),
    *(f"{'a' * 245}/gpu", f"a/a{LABEL}", "NVIDIA.com/gpu", "nvidia..com/gpu", "NVIDIA_TESLA_T4"),
])  # fmt: skip
def test_what_no_node_can_have_is_refused_as_an_accelerator(name: str) -> None:
    with pytest.raises(ValueError, match="not an extended resource of Kubernetes"):
        Accelerator(type=name)


@pytest.mark.parametrize("amounts", [
    {"cpu": "1m"}, {"cpu": "0.001"}, {"cpu": "2"}, {"cpu": "1.5"}, {"memory": "1"}, {"memory": "0.5Ki"},
    {"memory": "1500k"}, {"memory": "8191Ti"},
])  # fmt: skip
def test_a_quantity_that_kubernetes_counts_is_taken(amounts: dict[str, str]) -> None:
    assert Resources(**amounts)


@pytest.mark.parametrize(("amounts", "message"), [
    ({"cpu": "0.0001"}, "not a whole number of thousandths of a processor"),
    ({"cpu": "0.5m"}, "not a whole number of thousandths of a processor"),
    ({"cpu": "0"}, "of which there is at least one"),
    ({"memory": "400m"}, "'400m' is not a whole number of bytes"),
    ({"memory": "0.5"}, "not a whole number of bytes"),
    ({"memory": "0Gi"}, "of which there is at least one"),
    ({"memory": "8388608Ti"}, "more than Kubernetes counts"),
    ({"memory": "4GB"}, "not a Kubernetes quantity; write one such as"),
    ({"memory": "-1Gi"}, "not a Kubernetes quantity"),
    ({"memory": "4 Gi"}, "not a Kubernetes quantity"),
    ({"memory": "4Gi\n"}, "not a Kubernetes quantity"),
])  # fmt: skip
def test_a_quantity_that_it_does_not_count_is_refused(amounts: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=r"(cpu|memory)") as caught:
        Resources(**amounts)
    assert message in str(caught.value)
