"""Tests of layerscope.tui.drift."""
