"""The only caller of placement, scheduling and verification."""
