"""All guards that there are."""

from tests.guards import network, server, store, strangers, transfer, transport

GUARDS = (
    *transfer.GUARDS,
    *store.GUARDS,
    *transport.GUARDS,
    *network.GUARDS,
    *strangers.GUARDS,
    *server.GUARDS,
)
