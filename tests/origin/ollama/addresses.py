"""Presigned addresses of the blob storage, of the form that S3 has given them."""

import datetime
import hashlib
import hmac
import secrets
import time
from urllib.parse import parse_qs, urlencode


class Signer:
    """Signs and checks. Its clock can be put forward, so that a test need not wait for an address to expire."""

    def __init__(self, life_s: int) -> None:
        self.life_s = life_s
        self.ahead_s = 0.0
        """How far its clock is before the true one."""
        self._key = secrets.token_bytes(32)

    def query(self, path: str) -> str:
        """The query that opens path from now on, for as long as the life of an address is."""
        date = datetime.datetime.fromtimestamp(self._now(), datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        fields = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"made-up/{date[:8]}/auto/s3/aws4_request",
            "X-Amz-Date": date,
            "X-Amz-Expires": str(self.life_s),
            "X-Amz-SignedHeaders": "host",
        }
        return urlencode(fields | {"X-Amz-Signature": self._signature(path, fields)})

    def is_signed(self, path: str, query: str) -> bool:
        fields = _fields(query)
        claimed = fields.pop("X-Amz-Signature", "")
        return hmac.compare_digest(claimed.encode(), self._signature(path, fields).encode())

    def is_expired(self, query: str) -> bool:
        """To be asked about signed ones only."""
        fields = _fields(query)
        date = datetime.datetime.strptime(fields["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        return self._now() >= date.timestamp() + int(fields["X-Amz-Expires"])

    def _now(self) -> float:
        return time.time() + self.ahead_s

    def _signature(self, path: str, fields: dict[str, str]) -> str:
        # Ours to choose, as nobody but this server reads it: no canonical request of the real protocol.
        text = f"{path.lstrip('/')}?{urlencode(sorted(fields.items()))}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _fields(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
