"""The waiting rooms: clocks, deadlines, queues, polling, supervision. Only here is slept, timed out or spawned."""
