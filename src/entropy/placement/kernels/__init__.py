"""The hot loops, one idea a file: plain functions over arrays that Numba compiles (see ``jit``)."""

from entropy.placement.kernels.empty import empty_nodes
from entropy.placement.kernels.fit import fit

__all__ = ["empty_nodes", "fit"]
