"""The command `skip-it prove` and what it prints."""
