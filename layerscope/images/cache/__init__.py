"""Parsed data in the user's cache folder."""
