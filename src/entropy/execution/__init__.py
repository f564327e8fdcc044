"""Runs a plan on drivers; a journal survives what the process does not."""
