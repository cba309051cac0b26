"""Which run a submission is: written down once, so that all who submit it in one moment keep the same run.

In Kubeflow Pipelines 2.17.0 the names of experiments and of pipeline versions are unique, and those of runs are not. A
run's id, if it is given, stops the second entry and not the second workflow, and times have whole seconds. So a
submitter starts its run first, and then makes a version whose name is the submission's and whose description is the
run: who comes second reads there which run it is, and cancels its own. Nobody waits for anybody, and whoever is killed
in between leaves a run that the next one finds and writes down, never a lock without a run.

The versions lie in a pipeline of their own, one for each run, and are seen in the UI on its page alone.
"""

import hashlib
from collections.abc import Iterator

from pipelines.backends.kubeflow.connection import Entry, filter_by
from pipelines.backends.kubeflow.descriptions import described, facts_of
from pipelines.backends.kubeflow.installation import Installation

PIPELINE = "ostinato-submissions"
ABOUT = (
    "Written by ostinato submit: one version for each submission, whose description names the run that it started. "
    "There is nothing to run here; versions older than a day may be deleted."
)
PACKAGE = f"""\
components: {{}}
deploymentSpec:
  executors: {{}}
pipelineInfo:
  description: >-
    {ABOUT}
  name: {PIPELINE}
root:
  dag:
    tasks: {{}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
"""
"""A pipeline without steps."""


class Claims:
    """Those of our experiment. Methods raise InputError or OstinatoError as the connection does."""

    def __init__(self, installation: Installation) -> None:
        self._connection, self._installation = installation.connection, installation

    def settle(self, run: str, number: str) -> Entry:
        """The claim of the submission with our id ``run``: by Kubeflow's run ``number``, unless there is one."""
        place = hashlib.sha256(self._installation.experiment().encode()).hexdigest()[:8]
        pipeline = self._installation.make_pipeline(PIPELINE, ABOUT)
        return self._installation.make_version(pipeline, f"{run}-{place}", PACKAGE, described({"run": number}))

    def runs(self, text: str) -> set[str]:
        """Kubeflow's ids of the runs that are claimed under a name with this text in it."""
        pipeline = self._installation.pipeline(PIPELINE)
        return {run_of(claim) for claim in self._named(pipeline, text, "IS_SUBSTRING")} if pipeline else set()

    def withdraw(self, claim: Entry) -> None:
        """Delete the claim of a run that somebody deleted."""
        delete = self._connection.pipelines.pipeline_service_delete_pipeline_version
        number = claim["pipeline_version_id"]

        def gone() -> bool | None:
            left = self._named(claim, claim["display_name"])
            return None if any(version["pipeline_version_id"] == number for version in left) else True

        def withdraw() -> bool:
            self._connection.once(delete, claim["pipeline_id"], number)
            return True

        self._connection.settle("deleting the claim of a run that is gone", gone, withdraw)

    def _named(self, pipeline: Entry, text: str, operation: str = "EQUALS") -> Iterator[Entry]:
        return self._connection.entries(
            "looking for the runs of submissions",
            "pipeline_versions",
            self._connection.pipelines.pipeline_service_list_pipeline_versions,
            pipeline["pipeline_id"],
            filter=filter_by("display_name", text, operation),
        )


def run_of(claim: Entry) -> str:
    """Kubeflow's id of the run that is claimed."""
    return facts_of(claim.get("description")).get("run", "")
