"""Use cases: free time, and who has claimed it."""
