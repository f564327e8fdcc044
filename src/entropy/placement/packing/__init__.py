"""Packing: the same VMs on fewer nodes, where fitting one VM after another leaves room unused.

Three searches that know different things: bin completion fills one node as well as it can be filled, the ejection search packs what is
left over by throwing out what is easier to place, and the dive follows the linear programme over whole nodes.
"""

from entropy.placement.packing.fewer import Packed, fewer_nodes, repack

__all__ = ["Packed", "fewer_nodes", "repack"]
