"""Links that sign a browser in once: `pvm up` prints them, the server redeems them."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

#: Name of the secret in `api_secrets` by which links are signed.
SECRET: Final = "dagster_ui"
#: Where a link leads, below the path prefix.
SESSION_PATH: Final = "/pvm/session"
#: Time to open a browser, also on another machine.
LASTS_S: Final = 600


def new_link(base: str, secret: bytes) -> str:
    """The address that signs in the browser which opens it first, within ten minutes.

    Args:
        base: address of the UI, path prefix included.
        secret: see `SECRET`.
    """
    return f"{base}{SESSION_PATH}?token={_serializer(secret).dumps(secrets.token_urlsafe(16))}"


class Links:
    """The links that this process has redeemed.

    A link of before the process began is refused: it may have been redeemed then.
    """

    def __init__(self, secret: bytes) -> None:
        self._serializer = _serializer(secret)
        self._since = int(time.time())
        self._used: dict[str, float] = {}

    def redeem(self, token: str) -> bool:
        """True where the link is genuine, young enough and redeemed for the first time."""
        try:
            nonce, made = self._serializer.loads(token, max_age=LASTS_S, return_timestamp=True)
        except BadData:
            return False
        now = time.time()
        self._used = {one: until for one, until in self._used.items() if until > now}
        if made.timestamp() < self._since or nonce in self._used:
            return False
        self._used[str(nonce)] = now + LASTS_S + 1
        return True


def _serializer(secret: bytes) -> URLSafeTimedSerializer:
    # itsdangerous's own default is SHA-1.
    return URLSafeTimedSerializer(secret, "link", signer_kwargs={"digest_method": hashlib.sha256})
