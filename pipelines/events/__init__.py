"""The entry point that turns events (new data, a new base model, drift) into runs, each event once."""
