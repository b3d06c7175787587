"""What doctors say of themselves."""
