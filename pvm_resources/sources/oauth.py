"""Reading what an OAuth 2.0 token endpoint answers (RFC 6749, 5.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pvm_resources.store.oauth_tokens import Token

#: The shops' tokens live 1 or 2 hours; a life beyond a day is no statement to rely on.
_LIFE_MAX_S: Final = 86_400.0


def read_token(answer: Mapping[str, Any], sent_at: datetime, life_s: float | None = None) -> Token | None:
    """The token of a success.

    Args:
        sent_at: when the request was sent, with time zone: the token's life is counted from there.
        life_s: its life in seconds where the answer does not say; None = it must say.

    Returns:
        None where the answer holds none.
    """
    value, life = answer.get("access_token"), answer.get("expires_in", life_s)
    if not isinstance(value, str) or not value:
        return None
    if isinstance(life, bool) or not isinstance(life, int | float) or not math.isfinite(life):
        return None
    return Token(value, sent_at + timedelta(seconds=min(max(life, 0), _LIFE_MAX_S)))
