"""Places to run the compiled package: one file or folder each."""
