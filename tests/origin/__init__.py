"""A local HTTP/1.1 origin that misbehaves on command and remembers every request. README.md has the list."""

from tests.origin.content import Bytes, Changed, Content, FileContent, Pattern
from tests.origin.faults import Fault
from tests.origin.files import File
from tests.origin.ledger import Record
from tests.origin.server import Origin

__all__ = ["Bytes", "Changed", "Content", "Fault", "File", "FileContent", "Origin", "Pattern", "Record"]
