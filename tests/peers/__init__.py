"""Real SIP peers, each in a process and a directory of its own: for the tests, the benchmarks and the lab.

A peer is a context manager: entered, it is ready; left, it is gone. What it printed is in its
directory, and the end of it is in the exception when it failed.
"""
