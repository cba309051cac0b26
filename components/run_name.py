"""What a run is called inside its steps."""


def run_name(job_name: str, resource_name: str) -> str:
    """The name that the backend's lists show for the run: KFP's job name, else the last part of its resource name.

    Kubeflow Pipelines 2.17 leaves the job name empty in the runs of a recurring run, whose resource name is the one
    that its API lists them by. Vertex AI's resource name begins with `projects/`.
    """
    return job_name or resource_name.rpartition("/")[2]
