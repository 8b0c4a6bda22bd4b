"""Commands of `redundancy`, one per file, found through the entry-point group `skip_it.commands`."""
