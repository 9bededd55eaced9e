"""An eBay key set, as the settings describe it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from pvm_resources.settings import Settings
from pvm_resources.sources.ebay.markets import MARKETS
from pvm_resources.sources.faults import SourceError
from pvm_resources.sources.shop import api_address, require

NAME: Final = "ebay"
_SET_KEYS: Final = (
    "Set them to a production key set of developer.ebay.com; docs/sources.md says how to get one"
)


@dataclass(frozen=True)
class EbayAccount:
    """An eBay key set and what it may be used for.

    Attributes:
        client_id, secret: the key set.
        url: where the API is, without a final slash.
        marketplace: whose listings are searched.
        daily_calls: calls that the key set has in a day.
    """

    client_id: str
    secret: SecretStr = field(repr=False)
    url: str
    marketplace: str
    daily_calls: int

    @classmethod
    def of(cls, settings: Settings) -> EbayAccount:
        """The account that the settings describe.

        Raises:
            SourceError: ``source.not_configured``, naming the variables that are missing or wrong.
        """
        client_id, secret = settings.ebay_client_id or "", settings.ebay_client_secret or SecretStr("")
        require(NAME, {"EBAY_CLIENT_ID": client_id, "EBAY_CLIENT_SECRET": secret}, _SET_KEYS)
        # eBay takes an unknown marketplace for EBAY_US without a word.
        if settings.ebay_marketplace not in MARKETS:
            reason = f"EBAY_MARKETPLACE is {settings.ebay_marketplace!r}, which the Browse API does not serve"
            raise not_configured(reason, f"Set it to one of {', '.join(MARKETS)}")
        url = api_address(NAME, "EBAY_API_URL", settings.ebay_api_url)
        return cls(client_id, secret, url, settings.ebay_marketplace, settings.ebay_daily_calls)

    @property
    def key(self) -> str:
        """Under what its token and its budget are stored: the key set at that address."""
        return f"{self.client_id}@{urlsplit(self.url).netloc}"


def not_configured(reason: str, remedy: str) -> SourceError:
    """The fault of a setting that is missing or refused."""
    return SourceError.of("not_configured", NAME, reason, remedy)
