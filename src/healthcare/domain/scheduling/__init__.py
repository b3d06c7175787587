"""Free time, and who has claimed it."""
