"""The hot loops, one idea a file: plain functions over arrays that Numba compiles (see ``jit``).

``state`` says what may enter a node and changes a placement, ``index`` finds a node for a VM; the others build on these two.
"""

from entropy.placement.kernels.chains import house
from entropy.placement.kernels.descent import descend, go_home
from entropy.placement.kernels.empty import empty_nodes
from entropy.placement.kernels.fit import fit
from entropy.placement.kernels.index import Index
from entropy.placement.kernels.state import State, recount
from entropy.placement.kernels.trade import Tabu, cram, trade

__all__ = ["Index", "State", "Tabu", "cram", "descend", "empty_nodes", "fit", "go_home", "house", "recount", "trade"]
