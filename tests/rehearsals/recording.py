"""A recorded day in one file, for interpreters that are started to rehearse it: everything that may happen, by dice.

Knows how a day is lived (`test_days`). Does not know what it is rehearsed for.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from service_monitoring.domain.inputs import Act, Delivery, Signal
from service_monitoring.testing.builders import equals
from service_monitoring.wire.codec import encode
from service_monitoring.wire.ledger import digest
from tests.rehearsals.alone import Recording
from tests.rehearsals.test_days import live


def a_script(seed: int, length: int) -> list[tuple[str, Any]]:
    """Events of a day, as `test_days` draws them."""
    dice = Random(seed)
    kinds = ["spell"] * 8 + ["push", "report", "settle", "settle", "person", "person", "silence", "reload", "requeue"]
    kinds += ["step", "suspend", "crash", "wait"]

    def one(kind: str) -> Any:
        match kind:
            case "spell":
                value = dice.choice([0.0, 0.5, 2.5, 5.0, None, None, -1.0])
                return (dice.choice(["shop", "shop", "desk"]), value, dice.choice([4, 8, 16]))
            case "push":
                return [(dice.randint(-9, 9), dice.choice([0.0, 1.0, 5.0])) for _ in range(3)]
            case "report":
                return (dice.choice(list(Signal)), dice.choice(["", "1", "2"]))
            case "settle":
                return (dice.randrange(5), dice.choice(list(Delivery)))
            case "person":
                return (dice.choice(list(Act)), dice.randrange(5))
            case "silence":
                return (equals(*dice.choice([("service", "shop"), ("rule", "child")])), 0, 30)
            case "reload" | "requeue":
                return dice.randrange(1, 6)
            case "step":
                return dice.choice([3600, -3600, 20])
            case _:
                return dice.choice([7, 60])

    return [(kind, one(kind)) for kind in dice.choices(kinds, k=length)]


def write_recording(path: Path, *, seed: int = 5, length: int = 100) -> str:
    """Live it, write down what came in, and give back the digest of what was decided."""
    day = asyncio.run(live(a_script(seed, length)))
    assert day.store._progress is not None
    path.write_bytes(encode(Recording(tuple(day.recorded()), day.store._progress.judged)))
    assert len(day.decided()) > 200
    return digest(day.decided())
