"""Fuzzing: one target for each parser of foreign bytes, and what was found with it."""
