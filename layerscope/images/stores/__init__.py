"""The stores of engines on disk, read only: overlay2, containerd, Podman."""
