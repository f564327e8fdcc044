"""The exact model: a whole small cluster, or a neighbourhood of a large one, assigned by CP-SAT.  Importing it loads the solver."""

from entropy.placement.exact.model import ExactModel
from entropy.placement.exact.solving import Exact, Limits, Status

__all__ = ["Exact", "ExactModel", "Limits", "Status"]
