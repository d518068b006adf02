"""The formats, as their specifications define them: functions on bytes, no engine, no UI."""
