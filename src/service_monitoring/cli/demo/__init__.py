"""The demonstration: a real service on loopback that degrades, fails and recovers, and the monitor that watches it."""
