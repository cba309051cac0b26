"""The champion step brings exactly the files that git says are live, or says why not."""

import shutil
from pathlib import Path

import pytest
from harness.candidates import fetch_champion
from harness.registered import Place

from components.champion.steps import fetch_comparison
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.releases.live import live
from delivery.stores.fetch import download_folder
from training.errors import InputError, OstinatoError

NAME = "bike-demand"


def stored(place: Place) -> Path:
    """The files of the live model in the registry's artifact store."""
    now = live(place.remote, NAME)
    assert now
    return Path(now.storage_uri.removeprefix("file://"))


@pytest.fixture
def released(place: Place, tmp_path: Path) -> Place:
    """Version 1 is live, from a copy of its files that a test may spoil."""
    import sqlite3

    mine = tmp_path / "store"
    place.release("1")
    shutil.copytree(stored(place), mine)
    with sqlite3.connect(place.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET storage_location = ? WHERE version = 1", (mine.as_uri(),))
    place.release("1")
    return place


def test_the_live_model_arrives_whole_and_proven(released: Place, tmp_path: Path) -> None:
    found = fetch_champion(NAME, released.remote, tmp_path / "out")
    assert found and found.version == "1"
    assert model_digest(tmp_path / "out") == found.digest
    assert (tmp_path / "out" / "examples" / "input.json").is_file()


def test_without_a_live_model_the_folder_is_empty(place: Place, tmp_path: Path) -> None:
    assert fetch_champion(NAME, place.remote, tmp_path / "out") is None
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("file", ["MLmodel", "model.skops", "examples/input.json"])
@pytest.mark.parametrize("how", ["changed", "removed", "added"])
def test_one_changed_byte_or_file_is_noticed(released: Place, tmp_path: Path, file: str, how: str) -> None:
    path = stored(released) / file
    if how == "changed":
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif how == "removed":
        path.unlink()
    else:
        path.with_suffix(".extra").write_bytes(b"")
    with pytest.raises(OstinatoError, match=r"has digest sha256:.*manifest says sha256:.*ostinato rollback") as caught:
        fetch_champion(NAME, released.remote, tmp_path / "out")
    assert caught.value.exit_code == 1


def test_files_that_are_gone_are_named_with_the_way_back(released: Place, tmp_path: Path) -> None:
    where = stored(released)
    shutil.rmtree(where)
    with pytest.raises(OstinatoError, match=rf"version 1 at file://{where}, is gone.*ostinato rollback bike-demand"):
        fetch_champion(NAME, released.remote, tmp_path / "out")


def test_a_name_that_is_a_path_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not allowed"):
        fetch_champion("../../etc", place.remote, tmp_path / "out")


def test_an_object_store_is_read_with_all_its_folders(tmp_path: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/m-1/MLmodel": b"a", "/bucket/m-1/deep/er/x": b"b", "/bucket/m-10/MLmodel": b"other"})
    download_folder("memory://bucket/m-1", tmp_path / "out")
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"MLmodel", "deep/er/x"}
    with pytest.raises(FileNotFoundError):
        download_folder("memory://bucket/m-2", tmp_path / "none")


def test_a_store_without_its_package_says_which_extra_to_install(
    released: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    with sqlite3.connect(released.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET storage_location = 's3://bucket/m-1' WHERE version = 1")
    released.release("1")
    with pytest.raises(OstinatoError, match=r"install ostinato\[s3\]"):
        fetch_champion(NAME, released.remote, tmp_path / "out")


def test_reading_the_champion_does_not_import_mlflow(released: Place, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from components.champion.steps import fetch_comparison; "
        "from delivery.connections import Connections; "
        f"place, out = Connections('', {released.remote!r}), Path({str(tmp_path / 'out')!r}); "
        f"fetch_comparison({NAME!r}, place, Path('none'), out); "
        "assert not {'mlflow', 'pandas', 'polars', 'kfp'} & sys.modules.keys()"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "MLmodel").is_file()


def comparison(place: Place, out: Path, candidate: int) -> str:
    """Version of the comparison of the candidate that is registered as a version; "" without one."""
    registered = registry(place.tracking_uri)
    folder = Path(registered.storage_uri(NAME, str(candidate)).removeprefix("file://"))
    found = fetch_comparison(NAME, place.connections, folder, out)
    assert any(out.iterdir()) == (found is not None)
    assert found is None or model_digest(out) == found.digest
    return found.version if found else ""


def test_a_candidate_is_judged_against_what_is_live(place: Place, tmp_path: Path) -> None:
    assert comparison(place, tmp_path / "none", candidate=1) == ""
    place.release("1")
    assert comparison(place, tmp_path / "one", candidate=2) == "1"


def test_a_candidate_that_is_live_is_judged_against_what_it_replaced(place: Place, tmp_path: Path) -> None:
    place.release("1")
    assert comparison(place, tmp_path / "first", candidate=1) == "", "as in the run that released it"
    place.release("2")
    assert comparison(place, tmp_path / "second", candidate=2) == "1", "as in the run that released it"


def test_big_files_of_a_local_store_are_linked_and_small_ones_may_be_edited(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "adapter").mkdir(parents=True)
    out.mkdir()
    (source / "adapter" / "weights.safetensors").write_bytes(b"0" * (1 << 20))
    (source / "config.json").write_text("{}")
    download_folder(source.as_uri(), out)
    assert (out / "adapter" / "weights.safetensors").samefile(source / "adapter" / "weights.safetensors")
    (out / "config.json").write_text("changed")
    assert (source / "config.json").read_text() == "{}"
