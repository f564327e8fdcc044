"""Where each VM should be: kernels, exact model, bounds, portfolio."""
