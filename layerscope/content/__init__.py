"""Detects the kind of a file and displays its content: functions on bytes, without UI."""
