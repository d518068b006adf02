"""Tests of layerscope.tui.remove."""
