"""A model as an image: the same bytes for the same model, pushed once, named by digest, and fetched back whole."""

import gzip
import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import bare_git, candidate, fetch_champion, model_spec
from harness.image_registries import ImageRegistry
from harness.registered import Place
from release.served import first_served_line

from delivery.models.folder import model_digest
from delivery.releases.live import live
from delivery.releases.release import Release, release
from delivery.stores.fetch import download_folder
from delivery.stores.image import build_image, sha256, unpack
from delivery.stores.image_registry import ImageRepository
from delivery.stores.publish import publish
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec

NAME = "bike-demand"


def spec_with(registry: ImageRegistry, **serving: str) -> ModelSpec:
    return model_spec(serving={"oci_repository": registry.repository(), **serving})


def release_image(place: Place, registry: ImageRegistry, version: str, **serving: str) -> Release:
    return release(spec_with(registry, **serving), place.connections, version, "direct")


def push_base(registry: ImageRegistry, name: str = "base/busybox", kind: str = "docker") -> str:
    """A small image with a shell as docker pushes it; its URI by digest."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        entry = tarfile.TarInfo("bin/sh")
        entry.size, entry.mode = 10, 0o755
        tar.addfile(entry, io.BytesIO(b"#!a shell\n"))
    layer = gzip.compress(content.getvalue())
    config = {
        "architecture": "arm64",
        "os": "linux",
        "config": {"User": "10001", "Entrypoint": ["/start"], "Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(content.getvalue())]},
        "history": [{"created_by": "ADD rootfs"}],
    }
    types = {"docker": "application/vnd.docker.image.rootfs.diff.tar.gzip", "zstd": "application/x-zstd"}
    repository, body = ImageRepository(registry.repository(name)), json.dumps(config).encode()
    for blob in (layer, body):
        repository.push_blob(sha256(blob), blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(body),
            "digest": sha256(body),
        },
        "layers": [{"mediaType": types[kind], "size": len(layer), "digest": sha256(layer)}],
    }
    pushed = json.dumps(manifest).encode()
    repository.push_manifest("1", pushed, manifest["mediaType"])
    return f"{registry.repository(name)}@{sha256(pushed)}"


def manifest_of(registry: ImageRegistry, uri: str) -> dict:
    body = ImageRepository(registry.repository()).manifest(uri.partition("@")[2])
    assert body
    return json.loads(body)


def test_a_release_names_the_image_by_digest_and_the_champion_is_fetched_from_it(
    place: Place, image_registry: ImageRegistry, tmp_path: Path
) -> None:
    done = release_image(place, image_registry, "1")
    now = live(place.remote, NAME)
    assert done.changed and now
    assert now.storage_uri == f"{image_registry.repository()}@{image_registry.images()[0]}"
    found = fetch_champion(NAME, place.remote, tmp_path / "out")
    assert found and model_digest(tmp_path / "out") == found.digest == now.digest


def test_a_second_release_sends_nothing_and_commits_nothing(place: Place, image_registry: ImageRegistry) -> None:
    release_image(place, image_registry, "1")
    before = {path: path.stat().st_mtime_ns for path in image_registry.root.rglob("*")}
    assert release_image(place, image_registry, "1").changed is False
    assert {path: path.stat().st_mtime_ns for path in image_registry.root.rglob("*")} == before


def test_what_is_live_as_an_image_is_not_fetched_from_the_registry_again(
    place: Place, image_registry: ImageRegistry, tmp_path: Path
) -> None:
    release_image(place, image_registry, "1")
    with sqlite3.connect(place.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET storage_location = ?", ((tmp_path / "gone").as_uri(),))
    assert release_image(place, image_registry, "1").changed is False
    with pytest.raises(OstinatoError, match=r"version 2 of bike-demand at file:.* is not there, so nothing was com"):
        release_image(place, image_registry, "2")


def test_a_proposal_that_waits_is_not_pushed_again(place: Place, image_registry: ImageRegistry) -> None:
    spec = spec_with(image_registry)
    first = release(spec, place.connections, "1", "pull-request")
    before = {path: path.stat().st_mtime_ns for path in image_registry.root.rglob("*")}
    again = release(spec, place.connections, "1", "pull-request")
    assert (again.changed, again.commit) == (False, first.commit)
    assert {path: path.stat().st_mtime_ns for path in image_registry.root.rglob("*")} == before


def test_every_release_keeps_its_image_under_a_tag_so_that_a_rollback_finds_it(
    place: Place, image_registry: ImageRegistry
) -> None:
    for version in ("1", "2", "1"):
        release_image(place, image_registry, version)
    assert len(image_registry.images()) == 2
    assert image_registry.tags() == [digest.replace("sha256:", "model-") for digest in image_registry.images()]


def test_an_image_that_was_deleted_is_pushed_again(place: Place, image_registry: ImageRegistry) -> None:
    release_image(place, image_registry, "1")
    images = image_registry.images()
    shutil.rmtree(image_registry.root / "docker")
    assert release_image(place, image_registry, "1").changed is False
    assert image_registry.images() == images


def test_equal_models_are_equal_images_whatever_the_files_times_and_modes(tmp_path: Path) -> None:
    one, other = candidate(tmp_path / "one").model, candidate(tmp_path / "other").model
    (other / "MLmodel").chmod(0o600)
    (other / "examples").chmod(0o700)
    subprocess.run(["touch", "-d", "2001-01-01", str(other / "MLmodel")], check=True)
    digests = set()
    for number, folder in enumerate((one, other, candidate(tmp_path / "third", weight=2).model)):
        scratch = tmp_path / f"scratch-{number}"
        scratch.mkdir()
        digests.add(build_image(folder, model_digest(folder), scratch).digest)
    assert len(digests) == 2
    # Also on another machine, with another Python: what was pushed once is found for ever.
    assert "sha256:6e07ec5d0ec2ad67d18baed72103479a987b4c2ff27f5ec568aa85b5993962d8" in digests


def test_the_layer_has_files_and_folders_under_models_and_nothing_else(
    place: Place, image_registry: ImageRegistry
) -> None:
    release_image(place, image_registry, "1")
    now = live(place.remote, NAME)
    assert now
    manifest = manifest_of(image_registry, now.storage_uri)
    with tarfile.open(image_registry.blob(manifest["layers"][0]["digest"]), "r:") as tar:
        names = {member.name: (member.isdir(), member.mode, member.uid, member.mtime) for member in tar}
    assert names == {
        "models": (True, 0o755, 0, 0),
        "models/MLmodel": (False, 0o644, 0, 0),
        "models/examples": (True, 0o755, 0, 0),
        "models/examples/input.json": (False, 0o644, 0, 0),
        "models/model.skops": (False, 0o644, 0, 0),
    }
    assert manifest["annotations"] == {"dev.ostinato.model-digest": now.digest}


def test_on_a_base_the_model_is_one_more_layer_and_nothing_is_started_but_what_kserve_says(
    place: Place, image_registry: ImageRegistry, tmp_path: Path
) -> None:
    base = push_base(image_registry)
    release_image(place, image_registry, "1", oci_base=base)
    now = live(place.remote, NAME)
    assert now
    manifest = manifest_of(image_registry, now.storage_uri)
    kinds = [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]]
    assert kinds == ["tar+gzip", "tar"]
    config = json.loads(image_registry.blob(manifest["config"]["digest"]).read_bytes())
    assert config["config"] == {"User": "10001", "Env": ["PATH=/bin"]}
    assert (config["architecture"], len(config["history"])) == ("arm64", 2)
    assert config["rootfs"]["diff_ids"][1] == manifest["layers"][1]["digest"]
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == base.partition("@")[2]
    assert fetch_champion(NAME, place.remote, tmp_path / "out")
    assert not (tmp_path / "out" / "bin").exists()


def test_a_changed_base_is_a_new_image_and_a_new_commit(place: Place, image_registry: ImageRegistry) -> None:
    release_image(place, image_registry, "1")
    base = push_base(image_registry)
    assert release_image(place, image_registry, "1", oci_base=base).changed
    assert release_image(place, image_registry, "1", oci_base=base).changed is False
    assert len(image_registry.images()) == 2


def test_a_base_that_is_gone_or_can_not_be_read_is_refused(place: Place, image_registry: ImageRegistry) -> None:
    absent = f"{image_registry.repository('base/none')}@sha256:{'0' * 64}"
    with pytest.raises(InputError, match=r"serving\.oci_base: .* does not exist"):
        release_image(place, image_registry, "1", oci_base=absent)
    with pytest.raises(InputError, match="has a layer of type application/x-zstd"):
        release_image(place, image_registry, "1", oci_base=push_base(image_registry, kind="zstd"))
    assert place.commits() == 1 and image_registry.images() == []


def test_a_base_for_several_platforms_lists_what_to_name(place: Place, image_registry: ImageRegistry) -> None:
    one = push_base(image_registry).partition("@")[2]
    repository = ImageRepository(image_registry.repository("base/busybox"))
    kind = "application/vnd.oci.image.index.v1+json"
    platform = {"architecture": "arm64", "os": "linux", "variant": "v8"}
    size = image_registry.blob(one).stat().st_size
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    entry = {"mediaType": docker, "digest": one, "size": size, "platform": platform}
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
    repository.push_manifest("all", index, kind)
    with pytest.raises(InputError, match=f"index of several platforms; name the one that serves: linux/arm64/v8 {one}"):
        uri = f"{image_registry.repository('base/busybox')}@{sha256(index)}"
        release_image(place, image_registry, "1", oci_base=uri)


def test_a_base_without_a_repository_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match="oci_base: no image is pushed without oci_repository"):
        model_spec(serving={"oci_base": f"oci://r.example.org/busybox@sha256:{'0' * 64}"})


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        ("layer", "changed", "and we differ about blob sha256:"),
        ("layer", "truncated", r"sent \d+ bytes of blob sha256:\w+, its manifest says \d+"),
        ("layer", "longer", r"sent more than \d+ bytes of blob"),
        ("manifest", "retold", "and we differ about manifest sha256:"),
        ("manifest", "truncated", "answered HTTP 500"),
    ],
)
def test_one_wrong_byte_on_the_way_is_noticed(
    place: Place, image_registry: ImageRegistry, tmp_path: Path, what: str, how: str, said: str
) -> None:
    release_image(place, image_registry, "1")
    now = live(place.remote, NAME)
    assert now
    layer = manifest_of(image_registry, now.storage_uri)["layers"][0]["digest"]
    file = image_registry.blob(layer if what == "layer" else now.storage_uri.partition("@")[2])
    content = file.read_bytes()
    spoiled = {
        "changed": bytes([content[0] ^ 1]) + content[1:],
        "truncated": content[:-1],
        "longer": content + b"x",
        "retold": content.replace(b"dev.ostinato", b"dev.ostinati"),
    }
    file.write_bytes(spoiled[how])
    with pytest.raises(OstinatoError, match=rf"version 1 at oci://.* can't be fetched: .*{said}") as caught:
        fetch_champion(NAME, place.remote, tmp_path / "out")
    assert caught.value.exit_code == 1 and not any((tmp_path / "out").rglob("*"))


def test_an_image_that_is_gone_is_named_with_the_way_back(
    place: Place, image_registry: ImageRegistry, tmp_path: Path
) -> None:
    release_image(place, image_registry, "1")
    shutil.rmtree(image_registry.root / "docker")
    with pytest.raises(OstinatoError, match="is gone from its store; `ostinato rollback bike-demand`"):
        fetch_champion(NAME, place.remote, tmp_path / "out")


def layer_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, 3 if kind == tarfile.REGTYPE else 0
    return entry


@pytest.mark.parametrize(
    "wrong",
    [
        member("models/../../escaped"),
        member("models/../escaped"),
        member("models/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("models/link", tarfile.LNKTYPE, "etc/passwd"),
        member("models/device", tarfile.CHRTYPE),
        member("models/.wh.MLmodel"),
    ],
    ids=lambda one: f"{one.name} {one.linkname}",
)
def test_a_layer_that_reaches_out_of_its_folder_or_holds_no_files_is_refused(
    tmp_path: Path, wrong: tarfile.TarInfo
) -> None:
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    with pytest.raises(OstinatoError, match=r"which is no file|can't be unpacked"):
        unpack(layer_with(tmp_path / "layer", wrong), target, "layer of a test")
    assert list(tmp_path.rglob("escaped")) == [] and not any(target.iterdir())


def test_other_folders_of_an_image_are_left_alone(tmp_path: Path) -> None:
    layer = layer_with(tmp_path / "layer", member("etc/passwd"), member("./models/a/b"), member("/models/c"))
    target = tmp_path / "target"
    target.mkdir()
    assert unpack(layer, target, "layer of a test") == 2
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == ["a", "a/b", "c"]


def test_an_image_without_models_is_no_model(image_registry: ImageRegistry, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no files under /models"):
        download_folder(push_base(image_registry), tmp_path)


def test_a_large_file_goes_there_and_back_in_pieces(image_registry: ImageRegistry, tmp_path: Path) -> None:
    folder, out = tmp_path / "model", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    (folder / "weights").write_bytes(hashlib.sha256(b"seed").digest() * (1 << 19))
    uri = publish(folder, model_digest(folder), image_registry.repository(), None)
    download_folder(uri, out)
    assert model_digest(out) == model_digest(folder)


@pytest.mark.parametrize("name", ["Upper/case", "a//b", "a/-b", "a/b..c", "a"])
def test_a_name_that_no_registry_takes_is_refused_before_it_is_asked(name: str) -> None:
    if name == "a":
        ImageRepository("oci://registry.example.org/a")
    else:
        with pytest.raises(InputError, match="write oci://host/name, the name in lower-case"):
            ImageRepository(f"oci://registry.example.org/{name}")


def test_a_run_whose_spec_wants_images_is_served_from_the_one_in_the_manifest(
    workspace: Path, ostinato: Any, image_registry: ImageRegistry
) -> None:
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    wanted = f"serving:\n  oci_repository: {image_registry.repository()}\n"
    spec.write_text(spec.read_text().replace("serving:\n", wanted))
    done = json.loads(ostinato("run", "demand-forecaster", "--param", "as_of=2011-12-01", "--json", expect=0).out)
    status = json.loads(ostinato("status", "demand-forecaster", "--json", expect=0).out)[0]
    assert status["storage_uri"] == f"{image_registry.repository()}@{image_registry.images()[0]}"
    shutil.rmtree(workspace / ".ostinato" / "artifacts")
    assert first_served_line(workspace) == f"demand-forecaster version {done['version']} on http"


def test_nothing_of_a_refused_release_is_committed(place: Place, image_registry: ImageRegistry) -> None:
    spec = model_spec(serving={"oci_repository": "oci://127.0.0.1:1/models"})
    with pytest.raises(OstinatoError, match=r"registry 127.0.0.1:1 .*can't be reached: .*refused\. Check the addr"):
        release(spec, place.connections, "1", "direct")
    assert place.commits() == 1 and bare_git(place.manifests, "branch", "--list") == "* main"
