"""What we believe: the log of facts, and the views derived from it."""
