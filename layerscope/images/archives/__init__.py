"""`docker save` output and OCI image layouts, as files, folders and streams."""
