"""What is said: the words, events and documents that the packages share. No I/O, no clock, no environment."""
