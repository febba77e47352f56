"""Links as a model, and what the engine's own decisions make of them: the proof that the number of lanes settles, and
that no single lane holds a file up. Time is simulated, so every figure is the same on any machine."""

import random

import pytest

from engine.transfer.lane_count import CEILING, FIRST
from perf.simulation.links import Connection, Link
from perf.simulation.world import Pull, World

MB, MIB, GIB, GB = 1_000_000, 1 << 20, 1 << 30, 1_000_000_000
SEEDS = range(3)
ENDLESS = 1000 * GB


def played(link: Link, size: int = GIB, seed: int = 0, **more: int) -> World:
    """A pull over this link, to its end."""
    return World(link, Pull(size=size, **more), seed).run()


def watched(link: Link, seconds: float, seed: int = 0) -> World:
    """A pull without an end, after so many seconds."""
    return World(link, Pull(size=ENDLESS), seed).run(seconds)


def lanes_at(world: World, moment: float) -> int:
    return [count for at, count in world.lanes_over_time if at <= moment][-1]


def came_between(world: World, start: float, stop: float) -> float:
    """Bytes a second."""
    marks = [max(came for at, came in world.came_over_time if at <= moment) for moment in (start, stop)]
    return (marks[1] - marks[0]) / (stop - start)


# The number of lanes


@pytest.mark.parametrize("round_trip_s", [0.0005, 0.02, 0.1])
def test_connections_that_are_capped_one_by_one_get_the_ceiling_at_once(round_trip_s):
    """Within a second and a few round trips, and it stays there."""
    world = watched(Link(edges=((1.0, 40 * MB),), round_trip_s=round_trip_s), 60.0)
    assert lanes_at(world, 0.5 + 12 * round_trip_s) == CEILING
    assert len(world.lanes_over_time) <= 4
    assert came_between(world, 5.0, 60.0) >= 0.9 * CEILING * 40 * MB


@pytest.mark.parametrize("seed", SEEDS)
def test_slow_start_far_away_is_not_mistaken_for_a_full_link(seed):
    """200 ms away a connection takes seconds to come up to speed; it is not judged before."""
    far = Link(edges=((1.0, 40 * MB),), round_trip_s=0.2, has_slow_start=True)
    assert lanes_at(watched(far, 10.0, seed), 10.0) == CEILING


@pytest.mark.parametrize("seed", SEEDS)
def test_a_link_that_four_lanes_fill_is_not_crowded(seed):
    """What more lanes brought nothing for is taken back within seconds; later a few are tried, ever more rarely."""
    world = watched(Link(total=125 * MB, round_trip_s=0.01), 60.0, seed)
    assert lanes_at(world, 4.0) == FIRST
    assert lanes_at(world, 60.0) <= FIRST + 1
    assert len(world.lanes_over_time) <= 10
    assert came_between(world, 5.0, 60.0) >= 0.99 * 125 * MB


@pytest.mark.parametrize("seed", SEEDS)
def test_a_link_that_ten_lanes_fill_is_full_and_does_not_flap(seed):
    """Ten are the least that fill it; it ends between those and twice as many."""
    world = watched(Link(total=400 * MB, edges=((1.0, 40 * MB),), round_trip_s=0.01), 60.0, seed)
    assert 10 <= lanes_at(world, 59.0) <= 20
    assert len(world.lanes_over_time) <= 14
    assert came_between(world, 5.0, 60.0) >= 0.97 * 400 * MB


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("holds", [8, 16, 24])
def test_a_link_that_collapses_under_many_lanes_is_held_at_what_it_bears(seed, holds):
    """With more than so many it gives a fifth. What is tried above comes back, and what those lanes still have out does
    not count against fewer of them."""
    link = Link(
        total=holds * 100 * MB,
        edges=((1.0, 100 * MB),),
        holds=holds,
        collapsed=holds * 20 * MB,
        round_trip_s=0.01,
    )
    world = watched(link, 60.0, seed)
    assert holds // 2 <= lanes_at(world, 60.0) <= holds + holds // 4
    assert len(world.lanes_over_time) <= 20
    assert came_between(world, 5.0, 60.0) >= 0.6 * link.total


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_refuses_is_not_asked_on_and_on(seed):
    """503 beside twelve: fewer lanes within a few seconds, and those go on working."""
    world = watched(Link(edges=((1.0, 40 * MB),), refuses_above=12, round_trip_s=0.01), 60.0, seed)
    assert lanes_at(world, 5.0) <= 12
    assert len(world.lanes_over_time) <= 10
    assert came_between(world, 5.0, 60.0) >= 0.5 * 12 * 40 * MB


def test_what_an_earlier_pull_learned_needs_little_climb():
    """The same link, begun with half of the number that the first pull settled at."""
    link = Link(edges=((1.0, 40 * MB),), round_trip_s=0.02)
    learned = watched(link, 10.0).decider.lane_count.learned
    assert learned == CEILING
    again = World(link, Pull(size=ENDLESS, learned=learned)).run(10.0)
    assert [lanes for _, lanes in again.lanes_over_time] == [CEILING // 2, CEILING]


def test_small_files_behind_a_long_way_get_the_ceiling():
    """Lanes that mostly wait are in nobody's way; a file costs one request."""
    world = played(Link(total=GB, round_trip_s=0.02), size=100 << 10, files=1000)
    assert lanes_at(world, 0.5) == CEILING
    assert world.decider.cost.leases == 1000
    assert world.now < 1.5 * 1000 * 0.022 / CEILING + 0.5


def test_leases_of_one_file_are_not_cut_fine_while_others_wait():
    """Behind a long way each request costs a round trip: 30 files of 50 segments take fewer than one for two."""
    link = Link(edges=((1.0, 30 * MB),), round_trip_s=0.1)
    world = played(link, size=400 * MIB, files=30)
    assert world.decider.cost.leases < 30 * 50 / 2


# No lane holds a file up


@pytest.mark.parametrize("seed", range(10))
def test_unequal_edges_do_not_make_a_tail(seed):
    """A file is done when the lanes that it had could have been done, give or take; little is thrown away for it."""
    link = Link(edges=((0.15, MB), (0.25, 15 * MB), (0.6, 60 * MB)), round_trip_s=0.0005)
    world = played(link, seed=seed)
    assert world.last_byte_at < 2.0
    assert world.discarded < 32 * MIB


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("lanes", [2, 8, 32])
def test_a_lane_that_stalls_for_ever_costs_next_to_nothing(share, lanes):
    """The others take over what it has, long before the stall timeout."""
    link = Link(edges=((1.0, 16 * MIB),), round_trip_s=0.0005)
    without = played(link, lanes=lanes).last_byte_at
    stalled = Link(edges=((1.0, 16 * MIB),), round_trip_s=0.0005, stalls_at_byte=int(share * GIB))
    with_stall = played(stalled, lanes=lanes).last_byte_at
    # Its own share is brought by the others, and one lane fewer is one lane fewer until it is replaced.
    assert with_stall < 1.1 * without + 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_every_byte_comes_once_but_for_what_is_told_as_thrown_away(seed):
    """Whatever is taken back, shortened and leased anew."""
    link = Link(edges=((0.3, MB), (0.7, 50 * MB)), round_trip_s=0.01, stalls_at_byte=100 * MB)
    world = played(link, size=300 * MB, seed=seed)
    assert world.decider.is_over
    rounding = 2 * world.decider.cost.leases
    assert 300 * MB - rounding <= world.came <= 300 * MB + world.discarded + rounding


# The model itself


def rates(link: Link, *caps: float) -> list[float]:
    connections = []
    for cap in caps:
        connection = Connection(link, random.Random(0))
        connection.cap = cap
        connections.append(connection)
    return link.share(connections)


def test_a_cable_is_shared_fairly_and_what_one_does_not_take_is_for_the_others():
    """Max-min, whatever the order."""
    assert rates(Link(total=100.0), 10.0, 60.0, 60.0) == [10.0, 45.0, 45.0]
    assert rates(Link(total=100.0), 60.0, 10.0, 20.0) == [60.0, 10.0, 20.0]
    assert rates(Link(total=90.0), 60.0, 60.0, 60.0) == [30.0, 30.0, 30.0]


def test_too_many_connections_make_a_link_collapse():
    """All that are at work count."""
    link = Link(total=100.0, holds=2, collapsed=30.0)
    assert rates(link, 99.0, 99.0) == [50.0, 50.0]
    assert rates(link, 99.0, 99.0, 99.0) == [10.0, 10.0, 10.0]


def test_one_capped_connection_takes_size_by_rate():
    """One lane, so nothing but the round trips and the answers comes on top."""
    link = Link(edges=((1.0, 10 * MB),), round_trip_s=0.1, answer_s=0.0)
    world = played(link, size=80 * MIB, lanes=1)
    trips = world.decider.cost.leases + 1
    assert world.last_byte_at == pytest.approx(8 * MIB * 10 / (10 * MB) + trips * 0.1, rel=0.001)


def test_hash_follows_at_its_rate_and_its_lag_is_told():
    """A link of 100 MB/s and a core that hashes 50: half of the file is behind when the last byte comes. At first it
    waits for the lane that has the beginning."""
    world = World(Link(total=100 * MB), Pull(size=GB, hash_bytes_s=50 * MB)).run()
    assert 20.0 < world.now < 21.5
    assert world.hashing.largest_lag == pytest.approx(GB / 2, rel=0.1)
