"""Signatures of Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks, spec 1.0.0)."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

from pvm_core.errors import InputError

PREFIX: Final = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64


def new_secret() -> str:
    """A new secret: ``whsec_`` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def key_of(secret: str) -> bytes:
    """The bytes that a secret signs with, 24 to 64.

    Raises:
        InputError: ``webhook.secret``; the message does not hold the secret.
    """
    try:
        found = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not secret.startswith(PREFIX) or not _MIN_BYTES <= len(found) <= _MAX_BYTES:
        raise InputError(
            "webhook.secret",
            "the webhook's secret",
            f"it is not whsec_ followed by {_MIN_BYTES} to {_MAX_BYTES} bytes in base64",
            "Leave it out to get a new one",
        )
    return found


def headers(event_id: str, timestamp: int, body: bytes, secrets_: Sequence[str]) -> dict[str, str]:
    """The headers of one attempt.

    Args:
        event_id: the same over all attempts.
        timestamp: of this attempt, seconds since the epoch.
        body: UTF-8.
        secrets_: each signs; two while one replaces the other. None: the attempt is not signed.
    """
    found = {"webhook-id": event_id, "webhook-timestamp": str(timestamp)}
    sent_at, text = datetime.fromtimestamp(timestamp, UTC), body.decode("utf-8")
    signatures = [Webhook(key_of(secret)).sign(event_id, sent_at, text) for secret in secrets_]
    if signatures:
        found["webhook-signature"] = " ".join(signatures)
    return found
