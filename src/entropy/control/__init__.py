"""The control loop: settings, when to act, the daemon."""
