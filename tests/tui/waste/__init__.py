"""Tests of layerscope.tui.waste."""
