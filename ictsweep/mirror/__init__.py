"""A study as others show it: derived from the event log, behind it by moments, never in its way."""
