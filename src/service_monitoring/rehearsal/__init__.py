"""Rehearsals: history in, ledger and report out, in simulated time."""
