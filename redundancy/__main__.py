"""`python -m redundancy` is `skip-it`."""

from redundancy.cli import main

main()
