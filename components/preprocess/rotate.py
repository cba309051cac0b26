"""`ostinato testset rotate`: pin the current split's test side, and say so in spec.yaml."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from components.preprocess.pin_edit import with_pin
from components.preprocess.steps import prepare
from delivery.documents.data_card import TEST_FILE
from delivery.stores.sources import is_local, local_path, store
from training.errors import InputError
from training.folder import model_folder, model_spec
from training.spec import ConversationSpec, DataSpec, TestSet, parse_spec

DEFAULT_PATH: str = TestSet.model_fields["path"].default


@dataclass(frozen=True)
class Rotation:
    """A new pin, and what it replaced."""

    path: str
    """Where the rows were written: a local path, or the URI of the spec."""
    sha256: str
    rows: int
    pinned_on: date
    replaced: TestSet | None


def rotate(root: Path, model: str, data_uri: str = "", as_of: str = "") -> Rotation:
    """Write the test side of the current split to `data.testset.path`, then its SHA-256 and today's date to spec.yaml.

    The rest of spec.yaml keeps every byte. ``data_uri`` and ``as_of`` are as for preprocess. Killed between the
    two writes, it leaves a pin that does not match, and the same command finishes. Raises InputError as
    preprocess does, and if spec.yaml is written in a way that cannot be edited safely.
    """
    folder = model_folder(root, model)
    spec = model_spec(root, model)
    if isinstance(spec.data, ConversationSpec):
        raise InputError(f"{model} has conversations; its fixed questions are a file of their own, data.test")
    testset = spec.data.testset
    uri = testset.path if testset else DEFAULT_PATH
    today = datetime.now(UTC).date()
    with TemporaryDirectory(prefix="ostinato-rotate-") as scratch:
        out = Path(scratch) / "data"
        unpinned = spec.data.model_copy(update={"testset": None})
        part = prepare(model, folder, unpinned.canonical_json(), data_uri, "", as_of, out).test
        text = (folder / "spec.yaml").read_bytes().decode()
        edited = with_pin(text, part.sha256, today, str(folder / "spec.yaml"))
        data = parse_spec(edited, str(folder / "spec.yaml")).data
        pinned = data.testset if isinstance(data, DataSpec) else None
        if pinned is None or (pinned.sha256, pinned.pinned_on, pinned.path) != (part.sha256, today, uri):
            raise InputError(f"{folder / 'spec.yaml'}: the pin could not be written; set data.testset by hand")
        store(out / TEST_FILE, uri, folder)
    beside = folder / ".spec.yaml.new"
    beside.write_bytes(edited.encode())
    beside.replace(folder / "spec.yaml")
    path = str(local_path(uri, folder)) if is_local(uri) else uri
    return Rotation(path, part.sha256, part.rows, today, testset)
