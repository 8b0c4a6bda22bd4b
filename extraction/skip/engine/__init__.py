"""The engine: runs a plan with compact states, masks and caches inside each decoder layer."""
