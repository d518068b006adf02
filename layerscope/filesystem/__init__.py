"""Changesets, the stack of them, and questions asked of it."""
