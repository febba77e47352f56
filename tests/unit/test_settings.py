"""Settings that cannot be are refused at the door, all faults in one message."""

import pytest

from engine.errors import UsageError
from engine.settings import Settings, home


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retries", -1),
        ("chunk_size", 0),
        ("connections", 0),
        ("connections", 1.5),
        ("connections", True),
        ("force", None),
        ("force", "no"),
        ("insecure", 1),
        ("connect_timeout_s", 0),
        ("retry_delay_s", True),
        ("connections", "4"),
        ("connections", 10**9),
        ("processes", 10**9),
        ("retries", None),
        ("retries", 10**30),
        ("retry_delay_s", "1"),
        ("retry_delay_s", float("nan")),
        ("retry_delay_s", 10**30),
        ("progress_interval_s", float("inf")),
        ("chunk_size", None),
        ("cacert", 5),
        ("proxy", 5),
        ("limit_rate", 0),
        ("stall_timeout_s", -0.5),
        ("proxy", "garbage"),
        ("proxy", "socks5://h:1"),
        ("proxy", "http://"),
        ("hash", "md5"),
        ("hash", "none"),
        ("allocate", "all"),
    ],
)
def test_senseless_setting(name: str, value: object) -> None:
    """It is named."""
    with pytest.raises(UsageError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]  # that is the point


def test_all_faults_are_told_at_once() -> None:
    """Nobody mends one to meet the next."""
    with pytest.raises(UsageError, match=r"retries.*chunk_size"):
        Settings(retries=-1, chunk_size=0)


def test_a_store_in_the_home_folder_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused in words, as any other mistake of the user."""
    monkeypatch.setenv("JARVIS_HOME", "~nobody-of-that-name/models")
    with pytest.raises(UsageError, match=r"JARVIS_HOME is '~nobody-of-that-name/models'"):
        home()
