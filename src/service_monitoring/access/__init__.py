"""Access: who may look, who may act, and what of that is written down. Pure: takes instants and secrets, makes none."""
