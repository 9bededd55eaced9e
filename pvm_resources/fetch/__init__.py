"""The one way to the web for pictures and feeds: addresses checked, everything limited and counted."""

from pvm_resources.fetch.exchange import Fetched
from pvm_resources.fetch.faults import FetchError
from pvm_resources.fetch.fetcher import Fetcher
from pvm_resources.fetch.guard import AddressError, AllowList, PinnedTransport
from pvm_resources.fetch.limits import FEED, PICTURE, FetchLimits

__all__ = [
    "FEED",
    "PICTURE",
    "AddressError",
    "AllowList",
    "FetchError",
    "FetchLimits",
    "Fetched",
    "Fetcher",
    "PinnedTransport",
]
