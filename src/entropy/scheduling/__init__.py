"""From a placement to an ordered, timed plan that is safe whatever the real durations are."""
