"""Tests of layerscope.tui.find."""
