"""The terminal UI: a thin front on the same functions that the commands use."""
