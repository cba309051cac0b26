"""Commands for the places beyond the laptop: what is in force, submitting, schedules."""

import json
from dataclasses import asdict

from pipelines.commands.base import AsJson, Set, app, places


@app.command(epilog="Examples: ostinato config; ostinato config --set vertex.region=europe-west4 --json")
def config(set_: Set = None, as_json: AsJson = False) -> None:
    """Print every setting in force and where it comes from, and which secrets the environment holds."""
    from pipelines.configuration import configuration, configuration_text, parse_given, secrets_there

    here = places(set_)
    rows = configuration(here, parse_given(set_ or []))
    if as_json:
        print(json.dumps({"settings": [asdict(row) for row in rows], "secrets": secrets_there()}, indent=2))
    else:
        print(configuration_text(rows))
