"""Self-hosted Kubeflow Pipelines 2."""
