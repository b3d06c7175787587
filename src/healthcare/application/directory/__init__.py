"""Use cases: what doctors say of themselves."""
