"""What single connections get is measured, and an unequal edge is a connection's fate."""

import http.client

import pytest

from perf import rates, servers
from perf.servers import EDGE_RATE, nginx_program

needs_nginx = pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed")


@needs_nginx
def test_unequal_edge_belongs_to_the_connection_not_to_the_request(tmp_path):
    """Every request of a connection is told the same speed, and among many connections there are all three."""
    with servers.serve(tmp_path) as origin:
        told = []
        for _ in range(60):
            connection = http.client.HTTPConnection(origin.host, origin.http_port, timeout=10)
            answers = set()
            for _ in range(3):
                connection.request("GET", EDGE_RATE)
                answers.add(connection.getresponse().read())
            connection.close()
            told.append(answers)
    assert all(len(answers) == 1 for answers in told)
    assert set.union(*told) == {b"1000000", b"15000000", b"60000000"}


@needs_nginx
def test_rates_are_those_of_the_capped_locations(tmp_path):
    """Where nothing is capped, nothing is measured."""
    with servers.serve(tmp_path) as origin:
        assert rates.measure(origin, {"plain"}) == {}
        found = rates.measure(origin, {"plain", "paced"})
    assert list(found) == ["paced"]
    assert found["paced"][0][0] > 0


def test_sentence_tells_groups_and_whether_speeds_were_kept():
    """One of the four connections was given another speed when it asked again."""
    edges = [[1e6, 1e6, 1.1e6], [6e7, 6e7, 5.5e7], [6e7, 6e7, 5.7e7], [6e7, 1e6, 5.6e7]]
    assert rates.sentence({"capped-40m": [[39.1e6]], "unequal": edges}) == (
        "A single connection, measured for half a second before the first round, really got capped-40m 39.1 MB/s; "
        "of 4 unequal ones 1 were given 1.0 MB/s and got 1.1 MB/s, 3 were given 60.0 MB/s and got 56.0 MB/s, "
        "and 3 kept their speed in a second request."
    )


def test_sentence_without_unequal_edges():
    """They are one scenario of several."""
    assert rates.sentence({"capped-40m": [[39.1e6]]}).endswith("really got capped-40m 39.1 MB/s.")
