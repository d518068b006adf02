"""The commands, run in process on archives that the tests make."""
