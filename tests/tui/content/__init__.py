"""Tests of layerscope.tui.content."""
