"""Tests of layerscope.tui.keys."""
