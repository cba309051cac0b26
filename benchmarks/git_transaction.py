"""What a release into the manifests repository costs, by the size of the repository, over HTTP.

    python benchmarks/git_transaction.py [--rounds 9] [--json FILE]

Each round commits one changed manifest to every repository with every contender, in turn, so that a busy machine hits
all alike; medians are compared. The server is git's own http-backend; its time is in all figures.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from frameworks import ROOT
from measure import median, table, write_json
from servers import free_port, running

from delivery.connections import Connections
from delivery.registry.versions import (
    CODE_TAG,
    DIGEST_TAG,
    FINGERPRINT_TAG,
    SPEC_TAG,
    VERDICT_DIGEST_TAG,
    VERDICT_TAG,
    ModelVersion,
)
from delivery.releases.release import ReleaseRequest, propose_or_commit
from training.spec import ModelSpec

MODEL = "demand-forecaster"
PATH = f"models/{MODEL}/inferenceservice.yaml"
MANIFEST = "".join(f"key-{line}: a value of a manifest that nobody reads\n" for line in range(60))
SHAPES = {"10 files": (10, 1), "10,000 files": (10_000, 1), "10 files, 5,000 commits": (10, 5_000)}


def git(*arguments: str, cwd: Path, feed: str = "") -> str:
    who = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost")
    done = subprocess.run(["git", *who, *arguments], cwd=cwd, input=feed, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def build(path: Path, files: int, commits: int) -> None:
    """A bare repository with two files a model, packed as a forge packs it."""
    path.mkdir()
    git("init", "--quiet", "--bare", "--initial-branch=main", cwd=path)
    for setting in ("http.receivepack", "uploadpack.allowFilter"):
        git("config", setting, "true", cwd=path)
    stream = []
    for number in range(commits):
        stream.append(f"commit refs/heads/main\ncommitter Bench <bench@localhost> {1_700_000_000 + number} +0000")
        stream.append("data 7\nCommit\n")
        for model in range(files // 2) if number == 0 else [number % (files // 2)]:
            for name in ("inferenceservice", "kustomization"):
                content = f"# {number} of {model}\n{MANIFEST}"
                stream.append(f"M 100644 inline models/m{model:04}/{name}.yaml\ndata {len(content)}\n{content}")
    git("fast-import", "--quiet", cwd=path, feed="\n".join(stream))
    git("repack", "-adq", "--write-bitmap-index", cwd=path)


def spec() -> ModelSpec:
    """The demonstration model's."""
    import yaml

    return ModelSpec.model_validate(yaml.safe_load((ROOT / "training" / "demand_forecaster" / "spec.yaml").read_text()))


def released(number: int) -> ReleaseRequest:
    """Version ``number``, judged against the one before it, as a run of the pipeline hands it over."""
    digests = (DIGEST_TAG, FINGERPRINT_TAG, VERDICT_DIGEST_TAG, SPEC_TAG, CODE_TAG)
    tags = {name: "sha256:" + "0" * 64 for name in digests} | {VERDICT_TAG: "pass"}
    version = ModelVersion(MODEL, str(number), f"models:/m-{number}", f"run-{number}", tags)
    return ReleaseRequest(version, f"s3://models/{number}", judged_against=str(number - 1) if number > 1 else "")


def ours(url: str, number: int, scratch: Path) -> float:
    began = time.perf_counter()
    propose_or_commit(spec(), Connections("", url), released(number), "direct", {})
    return time.perf_counter() - began


def full_clone(url: str, number: int, scratch: Path) -> float:
    """What a script does: clone, write, add, commit, push."""
    began = time.perf_counter()
    clone = scratch / "clone"
    git("clone", "--quiet", url, str(clone), cwd=scratch)
    file = clone / "models" / "script" / "inferenceservice.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"# {number}\n{MANIFEST}")
    git("add", ".", cwd=clone)
    git("commit", "--quiet", "--message", "Release", cwd=clone)
    git("push", "--quiet", "origin", "main", cwd=clone)
    return time.perf_counter() - began


def bare_push(url: str, number: int, scratch: Path) -> float:
    """The floor: only the push, of a commit that is there already."""
    clone = scratch / "ready"
    git("clone", "--quiet", "--bare", "--depth=1", "--filter=blob:none", url, str(clone), cwd=scratch)
    stream = "commit refs/heads/main\ncommitter Bench <bench@localhost> now\ndata 7\nRelease\n"
    stream += "from refs/heads/main^0\n"
    content = f"# {number}\n{MANIFEST}"
    stream += f"M 100644 inline models/floor/inferenceservice.yaml\ndata {len(content)}\n{content}\n"
    git("fast-import", "--quiet", "--date-format=now", cwd=clone, feed=stream)
    began = time.perf_counter()
    git("push", "--quiet", "origin", "main", cwd=clone)
    return time.perf_counter() - began


CONTENDERS: dict[str, Callable[[str, int, Path], float]] = {
    "a release": ours,
    "clone, add, commit, push": full_clone,
    "push of a ready commit": bare_push,
}


def measure(rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """Median seconds by repository and contender; one round before the others is not counted."""
    seconds = {name: {one: [] for one in CONTENDERS} for name in SHAPES}
    for files, commits in SHAPES.values():
        build(folder / f"{files}-{commits}.git", files, commits)
    port = free_port()
    command = [sys.executable, str(ROOT / "benchmarks" / "sides" / "git_server.py"), str(folder), str(port)]
    with running(command, "/10-1.git/info/refs?service=git-upload-pack", port=port):
        for number in range(1, rounds + 2):
            for name, (files, commits) in SHAPES.items():
                for one, contender in CONTENDERS.items():
                    with tempfile.TemporaryDirectory() as scratch:
                        used = contender(f"http://127.0.0.1:{port}/{files}-{commits}.git", number, Path(scratch))
                    seconds[name][one] += [used] if number > 1 else []
    return {name: {one: median(used) for one, used in found.items()} for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write seconds by repository and contender")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        medians = measure(options.rounds, Path(folder))
    base = medians["10 files"]["a release"]
    rows = []
    for name, found in medians.items():
        mine, clone, floor = (found[one] for one in CONTENDERS)
        times = (f"{mine:.2f}", f"{clone:.2f}", f"{floor:.2f}")
        rows.append([name, *times, f"{mine / base:.2f}", f"{mine / clone:.2f}", f"{mine / floor:.1f}"])
    head = ["repository", "release, s", "full clone, s", "bare push, s"]
    print(table([*head, "release, of 10 files", "of full clone", "of bare push"], rows))
    if options.json:
        write_json(options.json, {"rounds": options.rounds, "seconds": medians})


if __name__ == "__main__":
    main()
