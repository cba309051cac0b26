"""The tutorial, as a stranger would follow it: every command in order, with the exit code that it promises."""

import json
import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from harness.command_line import ROOT, Finished

COMMAND = re.compile(r"^\$ (?P<command>.+?)(?:  # exit (?P<code>\d))?$", re.MULTILINE)


def flats(path: Path) -> None:
    """300 rows that a person might have: numbers, text, some missing values."""
    chance = random.Random(7)
    lines = ["flat,rooms,square_metres,district,balcony,built,rent"]
    for flat in range(300):
        rooms, district = chance.randint(1, 5), chance.choice(["north", "south", "harbour"])
        size = rooms * chance.randint(18, 28)
        balcony, built = chance.choice(["true", "false"]), chance.choice(["", str(chance.randint(1900, 2020))])
        rent = size * {"north": 11, "south": 13, "harbour": 17}[district] + 60 * (balcony == "true")
        lines.append(f"{flat},{rooms},{size},{district},{balcony},{built},{rent + chance.randint(-60, 60)}")
    path.write_text("\n".join(lines) + "\n")


def test_every_command_of_the_tutorial_does_what_it_says(workspace: Path, ostinato: Callable[..., Finished]) -> None:
    flats(workspace / "flats.csv")
    text = (ROOT / "docs" / "tutorial" / "first-model.md").read_text()
    found = [(match["command"], int(match["code"] or 0)) for match in COMMAND.finditer(text)]
    assert len(found) > 12
    told: dict[str, Finished] = {}
    for command, code in found:
        words = shlex.split(command)
        assert words[0] == "ostinato"
        told[command] = ostinato(*words[1:], expect=code)

    assert (workspace / "package.yaml").is_file()
    end = {row["model"]: row for row in json.loads(ostinato("status", "--json", expect=0).out)}
    assert (end["flat-rent"]["live"], end["flat-rent"]["champion"]) == ("1", "1")
    bikes = end["demand-forecaster"]
    assert (bikes["live"], bikes["champion"], bikes["previous"], bikes["agree"]) == ("3", "3", "2", True)
    rolled_back = told["ostinato rollback demand-forecaster"].out
    assert "version 2" in rolled_back
