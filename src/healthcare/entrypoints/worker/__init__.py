"""The worker: does what requests leave behind, and clears away what has served its time."""
