"""`python -m redundancy` is `skip-it`."""

from redundancy.commands.cli import main

main()
