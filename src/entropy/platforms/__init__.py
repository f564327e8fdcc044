"""The outside world: one room per platform, found through entry points."""
