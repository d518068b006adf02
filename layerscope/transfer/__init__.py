"""Pulls and pushes as events: a row for each layer, and a total; one module per way."""
