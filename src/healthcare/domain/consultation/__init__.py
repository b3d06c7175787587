"""The care that an appointment leads to."""
