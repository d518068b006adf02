"""Changesets, the stack of them, and queries on it."""
