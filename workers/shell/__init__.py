"""The commands by subject, each a few calls of what the rest of the project does."""
