"""Tests of layerscope.tui.diff."""
