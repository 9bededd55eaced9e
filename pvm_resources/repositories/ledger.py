"""Tokens and daily budgets of the accounts at the sources, shared by all processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pvm_resources.repositories.base import Repository


@dataclass(frozen=True)
class Token:
    """An access token and the moment (with time zone) at which it ends."""

    value: str
    expires_at: datetime


class Ledger(Repository):
    """Tables `source_tokens` and `source_budgets`."""

    def token(self, source: str, account: str, mint: Callable[[], Token]) -> str:
        """The account's token; where none is valid, `mint` is called by one process and the others wait."""
        raise NotImplementedError

    def forget_token(self, source: str, account: str, value: str) -> None:
        """Drops that token, refused by the server; another one stored meanwhile stays."""
        raise NotImplementedError

    def spend(self, source: str, account: str, limit: int, calls: int = 1) -> bool:
        """Takes `calls` from today's budget (UTC); False, and nothing taken, where fewer are left."""
        raise NotImplementedError

    def used(self, source: str, account: str) -> int:
        """Calls taken today (UTC)."""
        raise NotImplementedError
