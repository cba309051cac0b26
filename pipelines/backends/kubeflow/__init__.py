"""Self-hosted Kubeflow Pipelines 2."""

from pipelines.backends.kubeflow.engine import KubeflowEngine

__all__ = ["KubeflowEngine"]
