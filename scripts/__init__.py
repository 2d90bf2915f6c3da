"""The local stack, and the tools that this repository needs."""
