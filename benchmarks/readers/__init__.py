"""Readers of instances that others published; for benchmarks only."""
