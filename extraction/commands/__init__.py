"""Commands of the extraction layer; torch is imported when they run."""
