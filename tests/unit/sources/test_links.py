"""Where a Link header says that a listing goes on."""

import pytest

from engine.sources.links import next_link


@pytest.mark.parametrize(
    "header",
    [
        '</n>; rel="next"',
        "</n>;REL=Next",
        '  </n> ; rel = "next" ;',
        '</n>; title="a, b; c"; rel="next"',
        '</n>; title="a \\"; rel=prev"; rel=next',
        "</n>; title*=UTF-8''%c3%a4; rel=next",
        '</n>; rel="last next"',
        '</n>; rel="next https://h.example/other"',
        "</n>; rel=next; rel=prev",
        "</n>; crossorigin; rel=next",
        '</a>; rel=prev, </n>; rel="next",, </z>; rel=last',
        "</n>; rel=next, </n>; rel=next",
        '</a>; rel="apple_touch_icon", </b>; rel="", </c>; rel, </d>; rel=\'me\', </n>; rel="next"',
    ],
)
def test_the_next_page(header: str) -> None:
    """In every spelling of RFC 8288 §3."""
    assert next_link(header) == "/n"


@pytest.mark.parametrize(
    "header",
    [
        "",
        " , ",
        "</a>",
        "</a>; rel=nexts",
        '</a>; rel="prev"; title="rel=next"',
        '</a>; rel=prev; title="</n>; rel=next"',
        "</a>; rel=prev; rel=next",
        "</a>; rel=https://h.example/next",
        "</a>; rev=next",
    ],
)
def test_no_next_page(header: str) -> None:
    """What only looks like one, and what is none."""
    assert next_link(header) is None


@pytest.mark.parametrize(
    "header",
    [
        "/n; rel=next",
        "</n; rel=next",
        "<</n>>; rel=next",
        "</n>; rel='next'",
        '</n>; rel="next',
        "</n> rel=next",
        "</n>; rel=next </z>; rel=last",
        '</n>; rel="next"x',
        "</a>; rel=prev, next",
        "</n>; rel=next, </m>; rel=next",
    ],
)
def test_what_cannot_be_read(header: str) -> None:
    """It is no end of the listing: nobody knows."""
    with pytest.raises(ValueError, match="Link header"):
        next_link(header)


def test_a_long_one_takes_no_time() -> None:
    """Each character is looked at a few times, whatever a stranger repeats."""
    for text in ('</a>; x="' + "\\" * 60_000, "</a>" + " ; " * 20_000 + "<", "</a>;" + "x = " * 15_000):
        with pytest.raises(ValueError, match="Link header"):
            next_link(text)
