"""What kind of file some bytes are, and how to show them: functions on bytes, without UI."""
