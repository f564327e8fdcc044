"""Plans for people: text, the graph of dependencies (dot), the timeline (svg)."""
