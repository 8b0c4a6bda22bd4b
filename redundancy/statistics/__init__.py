"""The mergeable statistics of a harvest: schema, state, merging, and how they are made of plain arrays."""
