"""Results of the core as text and JSON."""
