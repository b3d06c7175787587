"""Who people are, how they sign in, and which role they have."""
