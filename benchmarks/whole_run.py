"""`ostinato run` as a whole, on new data and with nothing changed, against others that do the same work.

    python benchmarks/whole_run.py --repetitions 5 --frameworks metaflow,kedro,dagster,zenml --json FILE

Every side starts from the same workspace at the same place, in which an earlier run has made registry, repository,
package and a champion, and ends with the same model live, which is checked. Each repetition is a fresh process; the
sides take turns.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from frameworks import ENVIRONMENTS, FRAMEWORKS, NotInstalled, environment
from measure import Timed, clean_environment, median, say, table, timed, write_json
from second_run import second_runs
from workspace import AS_OF, Workspace

SIDES = Path(__file__).resolve().parent / "sides"
OURS = "ostinato run"
PLAIN = "plain script"
TARGETS = {PLAIN: 1.0, "plain script, start and exit tricks": 1.15, "kfp.local": 0.55}
Command = Sequence[str]


def main() -> None:
    given = arguments()
    results: dict[str, object] = {}
    with TemporaryDirectory(prefix="whole-run-") as folder:
        workspace = Workspace(Path(folder), clean_environment())
        say("setting up: an earlier run")
        workspace.set_up()
        sides = own_sides(workspace)
        refused = add_frameworks(sides, given.frameworks)
        warm_up(workspace, sides, refused)
        found = take_turns(workspace, sides, given.repetitions)
        results["new data"] = {side: [asdict(one) for one in runs] for side, runs in found.items()}
        results["not run"] = refused
        print(comparison("new data", found, refused) + notes(sides))
        both = {side: sides[side] for side in (OURS, PLAIN)}
        first = take_turns(workspace, both, given.repetitions, nothing_yet=True)
        results["first run"] = {side: [asdict(one) for one in runs] for side, runs in first.items()}
        print("\n" + comparison("first run, nothing exists yet", first, {}))
        workspace.restore()
        timed(sides[OURS], cwd=SIDES, env=workspace.env, log=workspace.log)
        text, results["second run"] = second_runs(workspace, sides[OURS], given.repetitions)
        print("\n" + text)
    if given.json:
        write_json(given.json, results)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--frameworks", default="", help=f"comma-separated, of {', '.join(FRAMEWORKS)}")
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    given.frameworks = [name for name in given.frameworks.split(",") if name]
    unknown = set(given.frameworks) - set(FRAMEWORKS)
    if unknown:
        parser.error(f"--frameworks: {', '.join(unknown)} is none of {', '.join(FRAMEWORKS)}")
    return given


def own_sides(workspace: Workspace) -> dict[str, Command]:
    """Sides that run in our own environment."""
    python = sys.executable
    return {
        OURS: workspace.ostinato("run", "demand-forecaster", "--param", f"as_of={AS_OF}"),
        PLAIN: [python, "plain.py"],
        "plain script, start and exit tricks": [python, "tricks.py"],
        "kfp.local": [python, "kfp_local.py"],
    }


def add_frameworks(sides: dict[str, Command], names: Sequence[str]) -> dict[str, str]:
    """Add the frameworks' sides; returns the reasons of those that do not install."""
    refused = {}
    for framework in (FRAMEWORKS[name] for name in names):
        say(f"environment of {framework.requirement}")
        try:
            sides[framework.title] = [str(environment(framework)), *framework.command]
        except NotInstalled as error:
            refused[framework.title] = f"does not install beside our dependencies: {error}"
    return refused


def warm_up(workspace: Workspace, sides: dict[str, Command], refused: dict[str, str]) -> None:
    """Run each side once, so that bytecode and the frameworks' own databases exist; drop a framework that fails."""
    for side, command in list(sides.items()):
        say(f"warm-up: {side}")
        try:
            run_side(workspace, command)
        except RuntimeError as error:
            if side == OURS or side in TARGETS:
                raise
            say(str(error))
            reason = str(error).splitlines()[-1].replace(str(workspace.root), ".").replace(str(ENVIRONMENTS), "")
            refused[side] = f"failed: {reason[:300]}"
            del sides[side]


def take_turns(
    workspace: Workspace, sides: Mapping[str, Command], repetitions: int, *, nothing_yet: bool = False
) -> dict[str, list[Timed]]:
    """All sides in turn, as often as asked for."""
    found: dict[str, list[Timed]] = {side: [] for side in sides}
    for number in range(repetitions):
        for side, command in sides.items():
            found[side].append(run_side(workspace, command, nothing_yet=nothing_yet))
            say(f"{number + 1}/{repetitions} {side}: {found[side][-1].seconds:.2f} s")
    return found


def run_side(workspace: Workspace, command: Command, *, nothing_yet: bool = False) -> Timed:
    """One repetition, from the workspace as the earlier run left it. Raises RuntimeError unless the work was done."""
    if nothing_yet:
        workspace.clear()
    else:
        workspace.restore()
    took = timed(command, cwd=SIDES, env=workspace.env, log=workspace.log)
    workspace.check_released("1" if nothing_yet else "2")
    return took


def notes(sides: Mapping[str, Command]) -> str:
    """Which versions differ in a framework's environment."""
    relaxed = [one for one in FRAMEWORKS.values() if one.title in sides and one.relaxed]
    lines = [f"{one.name} refuses our locked versions of {', '.join(one.relaxed)} and has its own." for one in relaxed]
    return "".join(f"\n\n{line}" for line in lines)


def comparison(label: str, found: Mapping[str, Sequence[Timed]], refused: Mapping[str, str]) -> str:
    """The table of all sides; ratios are of ostinato to the side, in the same turn."""
    rows = []
    for side, runs in found.items():
        ratios = [ours.seconds / other.seconds for ours, other in zip(found[OURS], runs, strict=True)]
        ratio = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if side != OURS else ""
        met = ("yes" if median(ratios) <= TARGETS[side] else "no") if side in TARGETS else ""
        target = f"{TARGETS[side]:.2f}" if side in TARGETS else ""
        middle = (median([getattr(run, field) for run in runs]) for field in ("seconds", "cpu_seconds", "peak_mib"))
        wall, cpu, peak = middle
        rows.append([side, f"{wall:.2f}", f"{cpu:.2f}", f"{peak:.0f}", ratio, target, met])
    rows += [[side, reason, "", "", "", "", ""] for side, reason in refused.items()]
    head = [label, "median s", "CPU s", "peak MiB", "ostinato to it", "target, at most", "met"]
    return table(head, rows)


if __name__ == "__main__":
    main()
