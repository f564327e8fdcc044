"""The compiled problem: a cluster and a policy as arrays over a few primitives, which both engines and scheduling read."""
