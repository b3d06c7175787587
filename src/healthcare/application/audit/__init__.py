"""Use cases: who did what to whose data."""
