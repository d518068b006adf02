"""Tests of layerscope.tui.explore."""
