"""engine.transport.rate_limit: when a limit is exhausted, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.transport.rate_limit import exhausted_s
from tests.properties import steady

HUB_POLICY = '"fixed window";"resolvers";q=3000;w=300'
HEADERS = [
    ({}, None),
    ({"ratelimit": '"resolvers";r=2998;t=172'}, None),
    ({"ratelimit": '"resolvers";r=0;t=172'}, 173.0),
    ({"ratelimit": '"a";r=5;t=1, "b";r=0;t=9, "c";r=0;t=7'}, 10.0),
    ({"ratelimit": '"a,b;r=5";r=0;t=9'}, 10.0),
    ({"ratelimit": "default;r=0;t=9"}, 10.0),
    ({"ratelimit": '"resolvers";r=0', "ratelimit-policy": HUB_POLICY}, 301.0),
    ({"ratelimit": '"api";r=0', "ratelimit-policy": HUB_POLICY}, None),
    ({"ratelimit": '"resolvers";r=0;t=4', "ratelimit-policy": HUB_POLICY}, 5.0),
    ({"ratelimit": "limit=100, remaining=0, reset=50"}, 51.0),
    ({"ratelimit": "limit=100, remaining=1, reset=50"}, None),
    ({"ratelimit": "limit=0, reset=50"}, None),
    ({"ratelimit": '"resolvers";r=0;t=-1'}, None),
    ({"ratelimit": '"resolvers";r=00;t=1'}, 2.0),
    ({"ratelimit": ',,;=;"', "ratelimit-policy": "w=x;;"}, None),
    ({"ratelimit-policy": HUB_POLICY}, None),
]


@pytest.mark.parametrize(("headers", "wait"), HEADERS)
def test_exhausted(headers, wait):
    """Only where nothing remains, until the last of such windows has ended, and a second for what is no whole one."""
    assert exhausted_s(headers) == wait


@given(st.text() | st.text(st.sampled_from(' ",;=rtw0'), max_size=60), st.text(st.sampled_from(' ",;=w0')))
@steady(300)
def test_exhausted_takes_anything(limit, policy):
    """Whatever a server sends, a wait that is not negative or None comes back."""
    wait = exhausted_s({"ratelimit": limit, "ratelimit-policy": policy})
    assert wait is None or 0 <= wait < float("inf")
