"""Registries: client, transport, authentication, manifests, blobs, tables of contents."""
