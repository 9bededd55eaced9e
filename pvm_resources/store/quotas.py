"""Daily call budgets of the accounts at the sources, shared by all processes."""

from __future__ import annotations

from typing import Final

from pvm_resources.store.base import Repository


class Quotas(Repository):
    """Table `source_budgets`; safe to use from several threads.

    A day of a budget is a day in UTC. Where a server's own day ends elsewhere its refusal comes first, so a
    caller must expect it.
    """

    def spend(self, source: str, account: str, limit: int, calls: int = 1) -> bool:
        """Takes `calls` from today's budget (UTC); False, and nothing taken, where fewer are left.

        Args:
            limit: calls that the account has in a day.
            calls: at least 1.

        Raises:
            ValueError: `calls` is below 1.
        """
        if calls < 1:
            raise ValueError(f"calls must be at least 1, not {calls}")
        return self._execute(_SPEND, source=source, account=account, limit=limit, calls=calls) == 1

    def used(self, source: str, account: str) -> int:
        """Calls taken today (UTC)."""
        found = self._db.value(
            "SELECT used FROM source_budgets WHERE source = %s AND account = %s "
            "AND day = (now() AT TIME ZONE 'UTC')::date",
            [source, account],
        )
        return int(found or 0)


# One statement, so that the row's own lock orders those who spend at once; zero rows: not enough was left.
_SPEND: Final = (
    "INSERT INTO source_budgets AS b (source, account, day, used) "
    "SELECT %(source)s, %(account)s, (now() AT TIME ZONE 'UTC')::date, %(calls)s "
    "WHERE %(calls)s <= %(limit)s "
    "ON CONFLICT (source, account, day) DO UPDATE SET used = b.used + excluded.used "
    "WHERE b.used + excluded.used <= %(limit)s"
)
