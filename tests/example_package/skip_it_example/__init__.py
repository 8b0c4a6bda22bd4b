"""An example of a package that brings a plan term of its own: what it registers is in its ``entry_points.txt``."""
