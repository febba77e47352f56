"""URLs that need no parser: lower-case scheme and host, a usual port, visible ASCII, no user, query or fragment.

Nearly all are of this kind, and a pull of a thousand files looks at each some ten times: a match costs a tenth of
urlsplit. Whatever does not match is for urlsplit.
"""

import re

match_plain = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9][a-z0-9.-]*)(?::(?P<port>[1-9][0-9]{0,3}|[1-5][0-9]{4}))?(?:/[!\"$->@-~]*)?"
).fullmatch
