"""Figures of a comparison: each a function from tables or arrays to a Figure, in a module named after its file."""
