"""The only ways to a disk: whole writes, careful reads, locks between processes, and where caches lie."""
