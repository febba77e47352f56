"""What a proxy's address says besides where it is."""

from engine.plain_text import conceal
from engine.transport.proxies import proxy_headers


def test_a_proxys_password_is_hidden_wherever_it_comes_back() -> None:
    """Some repeat it in what they say of a wrong one; as it is, and as it is sent."""
    sent = proxy_headers("http://user:pass%2Bword@proxy.example:3128")["proxy-authorization"]
    assert sent == "Basic dXNlcjpwYXNzK3dvcmQ="
    assert conceal("pass+word is wrong, so is dXNlcjpwYXNzK3dvcmQ") == "*** is wrong, so is ***"


def test_an_address_without_a_user_sends_nothing() -> None:
    """And hides nothing."""
    assert proxy_headers("http://proxy.example:3128") == {}


def test_a_password_is_sent_as_utf_8() -> None:
    """RFC 7617 §2.1, and as other tools send what their addresses hold."""
    assert proxy_headers("http://%E2%82%AC:p@h:1") == {"proxy-authorization": "Basic 4oKsOnA="}
