"""A trial as Ray processes.

Nothing is imported here: the mailbox's process must not load torch (400 MB) to pass messages on.
"""
