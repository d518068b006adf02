"""Tests of layerscope.tui.versions."""
