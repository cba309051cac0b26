"""The way back, as whole commands: `ostinato rollback`, against the same done by hand.

    python benchmarks/rollback.py [--repetitions 7] [--json FILE]

By hand is what a person types who knows everything: clone the manifests repository, `git revert` the release's commit,
push, and set the registry's two aliases with MLflow's client. Each repetition does both from the same state, in turn.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from measure import Timed, clean_environment, machine, median, say, table, timed, write_json
from workspace import MODEL, Workspace

TARGET_SECONDS = 3.0
BY_HAND = """
set -e
git clone --quiet .ostinato/manifests.git "$1/clone"
cd "$1/clone"
git -c user.name=Person -c user.email=person@example.org revert --no-edit HEAD >/dev/null
git push --quiet origin HEAD:main
"$2" - "$3" <<'PYTHON'
import sys, mlflow
client = mlflow.MlflowClient(sys.argv[1])
client.set_registered_model_alias("demand-forecaster", "champion", "1")
client.delete_registered_model_alias("demand-forecaster", "previous")
PYTHON
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ostinato-rollback-") as folder:
        workspace = Workspace(Path(folder), clean_environment())
        workspace.set_up()
        run(workspace, workspace.ostinato("run", MODEL, "--param", "as_of=2019-08-01"))
        workspace.check_released("2")
        ours, hand = zip(*(both(workspace, Path(folder), at) for at in range(given.repetitions)), strict=True)
    seconds = {"`ostinato rollback`": [one.seconds for one in ours], "by hand": [one.seconds for one in hand]}
    floor = median(seconds["by hand"])
    rows = [[who, f"{median(took):.2f}", f"{median(took) / floor:.2f}"] for who, took in seconds.items()]
    met = "met" if median(seconds["`ostinato rollback`"]) <= TARGET_SECONDS else "not met"
    print(table(["the way back", "median s", "against by hand"], rows))
    print(f"\nThe target of {TARGET_SECONDS:g} s is {met}.")
    if given.json:
        write_json(given.json, {"machine": machine(), "seconds": seconds})


def both(workspace: Workspace, folder: Path, number: int) -> tuple[Timed, Timed]:
    """Version 2 is live before each, and version 1 after it."""
    ours = run(workspace, workspace.ostinato("rollback", MODEL))
    workspace.check_version("1")
    run(workspace, workspace.ostinato("promote", MODEL, "--version", "2"))
    scratch = folder / f"hand-{number}"
    scratch.mkdir()
    registry = f"sqlite:///{workspace.root / '.ostinato' / 'mlflow.db'}"
    hand = run(workspace, ["bash", "-c", BY_HAND, "bash", str(scratch), sys.executable, registry])
    workspace.check_version("1")
    run(workspace, workspace.ostinato("promote", MODEL, "--version", "2"))
    say(f"rollback {number + 1}: {ours.seconds:.2f} s, by hand {hand.seconds:.2f} s")
    return ours, hand


def run(workspace: Workspace, command: list[str]) -> Timed:
    return timed(command, cwd=workspace.root, env=workspace.env, log=workspace.log)


if __name__ == "__main__":
    main()
