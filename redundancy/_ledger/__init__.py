"""Data of the theorem ledger by subject: one record per definition, registered bound and false sentence."""
