"""Runs by our id: which of several of one name is the submission's."""

from pipelines.backends.kubeflow.claims import Claims, run_of
from pipelines.backends.kubeflow.connection import Entry, filter_by
from pipelines.backends.kubeflow.installation import Installation
from pipelines.backends.kubeflow.run_names import is_named, search_text
from pipelines.backends.kubeflow.states import run_state
from pipelines.backends.remote import ENDED
from training.errors import InputError, OstinatoError

TRIES = 5
"""How often the claim of a run that somebody deletes meanwhile is made again."""


class NamedRuns:
    """Those of our experiment. Methods raise InputError or OstinatoError as the connection does."""

    def __init__(self, installation: Installation) -> None:
        self._connection, self._installation = installation.connection, installation
        self._claims = Claims(installation)

    def listed(self, run: str) -> list[Entry]:
        """All of this id or name; those that were cancelled last, then the oldest first."""
        experiment = self._installation.experiment()
        if not experiment:
            return []
        listed = self._connection.entries(
            f"looking for the run {run}",
            "runs",
            self._connection.runs.run_service_list_runs,
            experiment_id=experiment,
            filter=filter_by("display_name", search_text(run), "IS_SUBSTRING"),
        )
        same = [entry for entry in listed if is_named(entry.get("display_name") or "", run)]
        return sorted(same, key=lambda entry: (_is_cancelled(entry), entry.get("created_at") or "", entry["run_id"]))

    def first(self, run: str) -> Entry | None:
        """The one that the submission is, or may become: of several the claimed one."""
        entries = self.listed(run)
        if len(entries) > 1:
            claimed = self._claims.runs(search_text(run))
            entries.sort(key=lambda entry: entry["run_id"] not in claimed)
        return entries[0] if entries else None

    def find(self, run: str) -> Entry:
        """Raises InputError if there is none."""
        entry = self.first(run)
        if entry is None:
            settings = self._connection.settings
            raise InputError(
                f"there is no run {run!r} in the experiment {settings.experiment} of Kubeflow at {settings.endpoint}"
            )
        return entry

    def agree(self, run: str, candidate: Entry) -> Entry:
        """The run that the submission is from now on: the candidate, unless another one was claimed before."""
        for _ in range(TRIES):
            claim = self._claims.settle(run, candidate["run_id"])
            if run_of(claim) == candidate["run_id"]:
                return candidate
            for entry in self.listed(run):
                if entry["run_id"] == run_of(claim):
                    return entry
            self._claims.withdraw(claim)
        raise OstinatoError(f"the run {run} is deleted as often as it is started; submit it again")

    def others(self, run: str, kept: Entry) -> list[Entry]:
        """Runs of this id besides the one that is kept, which have not ended."""
        return [
            entry for entry in self.listed(run) if entry["run_id"] != kept["run_id"] and run_state(entry) not in ENDED
        ]


def _is_cancelled(run: Entry) -> bool:
    """Also while it is being cancelled; Kubeflow Pipelines 2.17.0 ends it as FAILED."""
    history = [change.get("state") for change in run.get("state_history") or []]
    return run.get("state") in ("CANCELING", "CANCELED") or "CANCELING" in history
