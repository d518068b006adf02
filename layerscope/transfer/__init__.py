"""Pulls and pushes as events: a row for each layer, and one total; a module for each way."""
