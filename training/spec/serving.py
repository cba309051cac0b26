"""The part of a spec that says how KServe serves the model: runtime, size, scaling, rollout, secrets by reference.

What no cluster could do as written is refused here, with the field that mends it: scale to zero without an autoscaler
that wakes the service, a canary that KServe would ignore, a GPU rollout that waits for a second GPU for ever.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.spec.generation import EngineSpec
from training.spec.kubernetes_rules import (
    Annotations,
    FormatName,
    HostName,
    HttpAddress,
    ImageByDigest,
    LabelKey,
    LabelValue,
    NamespaceName,
    ObjectName,
    Query,
    RepositoryName,
    SecretKeyName,
    TaintKey,
    VariableName,
)
from training.spec.resources import Resources
from training.spec.section import Section, canonical_text
from training.spec.serving_language import check_language_serving

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""KServe's numbers have 32 bits."""
KSERVE_WITH_STANDARD_CANARY = (0, 20)
"""KServe 0.20 brought `spec.canary` to the Standard mode; before it, a canary there is a full rollout."""


class PrometheusTrigger(Section):
    """What KEDA scales on, besides processor and memory."""

    address: HttpAddress
    """Of the Prometheus server in the cluster."""
    query: Query
    """PromQL with one number as its answer."""
    target: Count
    """The number that one replica is for."""


class Scaling(Section):
    """How many replicas serve, and what decides."""

    min_replicas: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1
    """0 is scale to zero: with Knative, or with KEDA and a `prometheus` trigger that wakes the service."""
    max_replicas: Count = 1
    autoscaler: Literal["default", "keda"] = "default"
    """`default` is the deployment mode's own: the HorizontalPodAutoscaler in Standard, Knative's in Knative."""
    metric: Literal["cpu", "memory", "concurrency", "rps"] | None = None
    """KServe's default unless given. `concurrency` and `rps` (requests a second) are Knative's."""
    target: Count | None = None
    """Percent of the request for `cpu` and `memory`; requests of a replica for `concurrency` and `rps`."""
    prometheus: PrometheusTrigger | None = None
    """With `autoscaler: keda` only."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}")
        if (self.metric is None) != (self.target is None):
            raise ValueError("give metric and target together: what is measured, and how much of it a replica is for")
        if self.metric in ("cpu", "memory") and self.target and self.target > 100:
            raise ValueError(f"target {self.target} is a percent of the request for {self.metric}: at most 100")
        if self.prometheus and self.autoscaler != "keda":
            raise ValueError("a prometheus trigger needs autoscaler: keda")
        if self.autoscaler == "keda" and not (self.metric or self.prometheus):
            raise ValueError("autoscaler: keda has nothing to scale on; give metric and target, or prometheus")
        return self


class Canary(Section):
    """A release goes live for a share of the requests first; `ostinato canary` widens, finishes or aborts it."""

    percent: Annotated[int, Field(ge=1, le=99)]
    """Of the requests that the new version gets."""


class PayloadLog(Section):
    """Requests and answers are sent as CloudEvents, for watching drift. They hold the callers' data."""

    url: HttpAddress
    """Of the sink."""
    mode: Literal["all", "request", "response"] = "all"


class Batching(Section):
    """KServe's batcher beside the server: small requests of protocol v1 are put together."""

    max_batch_size: Count
    max_latency_ms: Count
    """How long a request may wait for others."""


class SecretKey(Section):
    """One entry of a Kubernetes Secret. The value is never here."""

    secret: ObjectName
    key: SecretKeyName


class Toleration(Section):
    """A taint of the nodes that the pods may run on all the same."""

    key: TaintKey
    """Empty tolerates every key, and then takes no value."""
    value: LabelValue = ""
    """Empty tolerates every value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"

    @model_validator(mode="after")
    def _value_has_its_key(self) -> Self:
        if self.value and not self.key:
            raise ValueError(f"value is {self.value!r}, and there is no key; name it, or leave value out")
        return self


class Gateway(Section):
    """The Gateway API's gateway that the requests come through; shadow traffic needs it."""

    name: ObjectName
    namespace: NamespaceName
    hostname: HostName | None = None
    """That applications call; for an InferenceService. An LLMInferenceService has every host name of the gateway's
    listener."""


class ServingSpec(Section):
    """How KServe serves the model."""

    resource: Literal["InferenceService", "LLMInferenceService"] = "InferenceService"
    """Of KServe's two resources; the second is for language models, and runs vLLM."""
    runtime: ObjectName = "ostinato-mlflow"
    """Name of the ServingRuntime; always written into the manifest. `delivery/serving/runtimes.yaml` says which
    formats and versions each one loads; one that can't load the model is refused before training."""
    model_format: FormatName = "mlflow"
    """Name of the format as the runtime supports it: `mlflow`; `onnx` for Triton; `huggingface` or `vLLM` for a
    language model."""
    protocol: Literal["v1", "v2", "openai"] = "v2"
    """The Open Inference Protocol, its older form, or OpenAI's for a language model."""
    engine: EngineSpec = EngineSpec()
    """Of a language model."""
    deployment_mode: Literal["Standard", "Knative"] = "Standard"
    """KServe fixes it for the life of a service."""
    kserve: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")] = "0.21"
    """Version of KServe in the cluster, such as `0.21`."""
    namespace: NamespaceName = "models"
    resources: Resources = Resources()
    scaling: Scaling = Scaling()
    canary: Canary | None = None
    """Without one a release takes all requests at once."""
    rollout: Literal["surge", "recreate"] | None = None
    """Standard mode: `surge` starts the new pod beside the old one (the default without a GPU), `recreate` ends the
    old one first, since a second GPU may never come free (the default with one). Knative always surges."""
    node_selector: dict[LabelKey, LabelValue] = {}
    """Labels of the nodes that may run the pods."""
    tolerations: tuple[Toleration, ...] = ()
    image_pull_secrets: tuple[ObjectName, ...] = ()
    """Secrets for private image registries."""
    secret_env: dict[VariableName, SecretKey] = {}
    """Environment variables from Secrets, such as `HF_TOKEN: {secret: hugging-face, key: token}`."""
    storage_secret: ObjectName | None = None
    """Secret with the credentials of the artifact store, attached to the model's service account."""
    service_account_annotations: Annotations = {}
    """Such as `iam.gke.io/gcp-service-account`, for a store that knows workloads by their identity."""
    payload_log: PayloadLog | None = None
    """Off unless given."""
    batching: Batching | None = None
    """Off unless given."""
    timeout_s: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Longest time of a request; KServe's default unless given."""
    oci_repository: RepositoryName | None = None
    """`oci://host/name`: deploy pushes the model there, and the manifest names the image by digest. Without one KServe
    reads the registry's own artifact store."""
    oci_base: ImageByDigest | None = None
    """`oci://host/name@sha256:…`: a small image with a shell, such as busybox, that the model is put on. KServe's
    modelcar mode runs the image; its native and fetch modes only read the files and need no base."""
    gateway: Gateway | None = None

    @property
    def recreates(self) -> bool:
        """Whether the old pod ends before the new one starts."""
        return (self.rollout or ("recreate" if self.resources.accelerator else "surge")) == "recreate"

    def proven_json(self) -> str:
        """The fields that decide how the model answers: what evaluate's proof depends on, as canonical JSON."""
        names = {"runtime", "model_format", "protocol", "engine"}
        return canonical_text(self.model_dump(mode="json", include=names))

    @model_validator(mode="after")
    def _servers_own_variables_stay(self) -> Self:
        for name in self.secret_env:
            if name == "PYTHONPATH" or name.startswith(("LD_", "OSTINATO_")):
                raise ValueError(
                    f"secret_env: {name} decides what the server loads, and no Secret may; use another variable"
                )
        return self

    @model_validator(mode="after")
    def _scaling_fits_the_mode(self) -> Self:
        check_language_serving(self)
        scaling, knative = self.scaling, self.deployment_mode == "Knative"
        keda = scaling.autoscaler == "keda"
        if keda and knative:
            raise ValueError("scaling.autoscaler: keda works in deployment_mode: Standard only")
        if scaling.metric in ("concurrency", "rps") and not knative:
            raise ValueError(f"scaling.metric: {scaling.metric} needs deployment_mode: Knative; use cpu or memory")
        if scaling.metric in ("cpu", "memory") and knative:
            raise ValueError(f"scaling.metric: {scaling.metric} is not Knative's; use concurrency or rps")
        if scaling.min_replicas == 0 and not (knative or (keda and scaling.prometheus)):
            raise ValueError(
                "scaling.min_replicas: 0 would silently become 1 here: use deployment_mode: Knative, or "
                "scaling.autoscaler: keda with a prometheus trigger, since processor and memory of no pod wake nothing"
            )
        if self.gateway and self.gateway.hostname is None and self.resource == "InferenceService":
            raise ValueError("gateway.hostname is missing; name the host that applications call")
        if self.oci_base and not self.oci_repository:
            raise ValueError("oci_base: no image is pushed without oci_repository; add it, or leave oci_base out")
        return self

    @model_validator(mode="after")
    def _canary_is_not_ignored(self) -> Self:
        if self.canary is None or self.deployment_mode == "Knative":
            return self
        if tuple(map(int, self.kserve.split("."))) < KSERVE_WITH_STANDARD_CANARY:
            raise ValueError(
                f"canary: KServe {self.kserve} ignores it in deployment_mode: Standard and would give the new version "
                'all requests; use kserve: "0.20" or newer, or deployment_mode: Knative'
            )
        if self.scaling.min_replicas != self.scaling.max_replicas:
            raise ValueError(
                "canary: in deployment_mode: Standard it needs a fixed number of replicas; set scaling.min_replicas "
                "and scaling.max_replicas to the same number"
            )
        return self

    @model_validator(mode="after")
    def _batcher_sees_the_requests(self) -> Self:
        # pkg/batcher/handler.go of KServe looks at paths that end in `:predict` and passes everything else on.
        if self.batching and self.protocol != "v1":
            fix = "leave batching out" if self.protocol == "openai" else "use protocol: v1, or leave batching out"
            raise ValueError(f"batching: KServe's batcher knows protocol v1 only and would batch nothing; {fix}")
        if self.canary and self.resources.accelerator and self.rollout != "surge":
            raise ValueError(
                "canary: its pods need accelerators beside those of the live version; write rollout: surge if there "
                "are enough, or release without a canary"
            )
        return self

    @model_validator(mode="after")
    def _accelerator_comes_free(self) -> Self:
        accelerator = self.resources.accelerator
        if self.deployment_mode == "Knative" and self.rollout == "recreate":
            raise ValueError("rollout: recreate is not to be had in deployment_mode: Knative; use Standard")
        if accelerator is None:
            return self
        if self.deployment_mode == "Knative" and self.rollout is None:
            raise ValueError(
                "rollout: Knative starts the new pod before it ends the old one, and waits for a second GPU for ever "
                "where there is none; write rollout: surge if there is one, or use deployment_mode: Standard"
            )
        return self
