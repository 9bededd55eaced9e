"""The one way to the web for pictures and feeds: addresses checked, everything limited and counted."""

from pvm_resources.http.address_policy import AddressError, AllowList, PinnedTransport
from pvm_resources.http.faults import FetchError
from pvm_resources.http.fetcher import Fetcher
from pvm_resources.http.http_request import Fetched
from pvm_resources.http.limits import FEED, PICTURE, FetchLimits

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
