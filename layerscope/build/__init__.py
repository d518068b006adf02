"""A build as a sequence of steps: its events, and one module for each builder."""
