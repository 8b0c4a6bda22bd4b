"""Files and arrays: how they come in, and how they are written whole or not at all."""
