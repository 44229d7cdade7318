"""Where the children of a batch run: on this machine, on a cluster. One interface, a file each."""
