"""Sinks: one file a kind of channel. None knows another, the outbox, or when it is asked again."""
