"""Tests of layerscope.tui.build."""
