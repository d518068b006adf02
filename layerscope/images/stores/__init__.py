"""What engines store on disk, read only: overlay2, containerd, Podman."""
