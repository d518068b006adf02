"""Images of an engine behind ssh, read by the remote layerscope; see `protocol`."""
