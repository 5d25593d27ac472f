"""Sources: one file a kind of check. Each asks a stranger something and says what came of it (`ports.Source`).

Knows the outside world and nothing of rules, schedules or storage; a kind is found by its entry point, never from here.
"""
