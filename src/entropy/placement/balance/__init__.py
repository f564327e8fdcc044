"""The third objective: the smallest spread between the most and the least loaded node, per resource."""

from entropy.placement.balance.descent import balance

__all__ = ["balance"]
