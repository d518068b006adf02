"""Tests of the core: formats, file system, commands, bad input."""
