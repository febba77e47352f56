"""All guards that there are."""

from tests.guards import server, store, strangers, transfer, transport

GUARDS = (*transfer.GUARDS, *store.GUARDS, *transport.GUARDS, *strangers.GUARDS, *server.GUARDS)
