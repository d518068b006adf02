"""Engines, which list and export images; and resolving a SOURCE to an image."""
