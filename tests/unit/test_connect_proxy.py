"""The proxy that leads host names to local servers, judged by a client of the standard library."""

import http.client
import ssl
import urllib.parse

import pytest

from tests.connect_proxy import ConnectProxy

NAME = "models.example.org"


def get(proxy: ConnectProxy, context: ssl.SSLContext, host: str) -> bytes:
    address = urllib.parse.urlsplit(proxy.url)
    connection = http.client.HTTPSConnection(address.hostname, address.port, timeout=5, context=context)
    connection.set_tunnel(host, 443)
    try:
        connection.request("GET", "/file")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_name_leads_to_its_server(origin_factory, tls):
    """TLS goes through it end to end: the certificate is that of the name that was asked for."""
    origin = origin_factory({"file": b"content" * 100_000}, tls=tls.issue("named", NAME))
    context = ssl.create_default_context(cafile=tls.cacert)
    with ConnectProxy({NAME: origin.port}) as proxy:
        assert get(proxy, context, NAME) == b"content" * 100_000
        assert proxy.asked == [NAME]


def test_an_unknown_name_is_refused(tls):
    """Nothing outside of the table is reached."""
    context = ssl.create_default_context(cafile=tls.cacert)
    with ConnectProxy({}) as proxy:
        with pytest.raises(OSError, match="502"):
            get(proxy, context, NAME)
        assert proxy.asked == [NAME]


def test_it_ends_with_open_tunnels(origin_factory, tls):
    """The end of the proxy is the end of its tunnels; no thread is left (tests/conftest.py looks)."""
    origin = origin_factory({"file": b"x" * 1_000_000}, tls=tls.issue("named", NAME))
    origin.fault("stall", after_bytes=1000)
    context = ssl.create_default_context(cafile=tls.cacert)
    with ConnectProxy({NAME: origin.port}) as proxy:
        address = urllib.parse.urlsplit(proxy.url)
        connection = http.client.HTTPSConnection(address.hostname, address.port, timeout=5, context=context)
        connection.set_tunnel(NAME, 443)
        connection.request("GET", "/file")
        answer = connection.getresponse()
    with pytest.raises((OSError, http.client.IncompleteRead)):
        answer.read()
    connection.close()
