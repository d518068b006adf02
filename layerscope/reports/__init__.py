"""What the core found, as text and JSON."""
