"""Use cases: the care that an appointment leads to."""
