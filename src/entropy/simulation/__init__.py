"""A simulated cluster on a virtual clock: adapter, driver, load, faults."""
