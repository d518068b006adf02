"""Tests of layerscope.tui.dialogs."""
