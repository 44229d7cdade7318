"""The front door for Python: what ``import human_edge_detection as hed`` offers, and what the command line calls.

These functions write files and log; they never print and never end the process. Log lines go to the logger
``human_edge_detection``, which shows warnings only until :func:`~human_edge_detection.log.setup_logging` is called or
the program sets up logging of its own; progress bars come with the former, on a terminal. What the caller can mend is a
:class:`~human_edge_detection.errors.HumanEdgeDetectionError` whose message is one line; it names the flags of the
command line, and the arguments here are called the same. Nothing heavy is imported before it is needed.
"""
