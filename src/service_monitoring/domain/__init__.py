"""Decisions: pure and synchronous. No clock, no loop, no dice, no input or output is known in this room."""
