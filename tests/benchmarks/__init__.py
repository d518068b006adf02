"""Measurements, and the image that they are made on."""
