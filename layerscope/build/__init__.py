"""A build as a sequence of steps: its events, and one module per builder."""
