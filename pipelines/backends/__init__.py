"""Where a compiled package runs: one folder a backend, and one row of the table."""
