"""The meaning of each rule, reduced to the primitives of the compiled problem."""
