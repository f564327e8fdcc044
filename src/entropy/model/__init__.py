"""Nodes, VMs, clusters, policies and plans: immutable values that know nothing of anything else."""
