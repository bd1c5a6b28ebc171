"""Views built from the log, each with its own checkpoint."""
