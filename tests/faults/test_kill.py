"""The program killed without notice: nothing is lost or opens twice, and what it recorded rehearses to the byte."""

import random
import time
from pathlib import Path

import pytest

from tests.faults.reckoning import CONFIGURATION, reckon
from tests.faults.world import World, a_world, kill, stop, wait_for


def drive(world: World, kills: int, seed: int) -> None:
    """Turn the target up and down while the program is killed at random instants."""
    dice = random.Random(seed)
    config = world.configure(CONFIGURATION)
    for _ in range(kills):
        world.polls = 0
        process = world.start(config)
        wait_for(lambda: world.polls > 0, "a first poll")
        end = time.monotonic() + dice.uniform(0.0, 2.0)
        while time.monotonic() < end:
            world.target_status = dice.choice([200, 200, 503, 503, 503])
            world.sink_delay = dice.choice([0.0, 0.0, 0.1])
            time.sleep(dice.uniform(0.0, 0.6))
        kill(process)
    world.target_status, world.sink_delay = 200, 0.0
    process = world.start(config)
    wait_for(world.settled, "the end of every notice", 90)
    assert stop(process) == 0


def test_a_program_killed_four_times_loses_nothing_and_rehearses_to_the_byte(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        drive(world, kills=4, seed=1)
        print(f"4 kills: {reckon(world, repeats=4)}")


@pytest.mark.drill
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        drive(world, kills=200, seed=2)
        print(f"200 kills: {reckon(world, repeats=200)}")
