"""eBay's Browse API over HTTP: one token for all processes, a daily budget, retries, typed refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import httpx

from pvm_resources.http.retry import retry_after
from pvm_resources.sources.ebay.account import NAME, EbayAccount, not_configured
from pvm_resources.sources.ebay.parsing import describe, errors_of
from pvm_resources.sources.faults import CallError, SourceError, TooManyError
from pvm_resources.sources.oauth import read_token
from pvm_resources.sources.shop import ShopClient, shared_token
from pvm_resources.store.oauth_tokens import Token

_TOKEN_PATH: Final = "/identity/v1/oauth2/token"
_BROWSE: Final = "/buy/browse/v1"
_SCOPE: Final = "https://api.ebay.com/oauth/api_scope"
#: Client-credential tokens that eBay mints for a key set in a day ("OAuth rate limits").
MINTS_A_DAY: Final = 1_000
#: A page of 200 listings is 1 MB.
_MAX_BYTES: Final = 20_000_000
_RETRYABLE: Final = frozenset((408, 425, 500, 502, 503, 504))
_KEYS_REMEDY: Final = (
    "Check EBAY_CLIENT_ID and EBAY_CLIENT_SECRET: both of the production key set, not of the sandbox. eBay "
    "refuses right keys too, in the same words, until the key set subscribes to marketplace account deletion "
    "notifications or opts out of them (developer.ebay.com/marketplace-account-deletion)"
)
_ACCESS_REMEDY: Final = (
    "Ask at developer.ebay.com whether the account's review has ended and whether its key set may use the "
    "Buy APIs"
)


class BrowseClient(ShopClient):
    """Asks the Browse API; safe to use from several threads.

    Every request is taken from the account's budget before it is sent. A server's fault (5xx, no answer in
    time, an answer that is no JSON) is tried again; so is 429, no sooner than it says. After 401 the token is
    forgotten and one more request made.

    Args:
        account: whose budget is spent.
        accept_language: a locale of its marketplace.
        shared: as `ShopClient` takes them.
    """

    source = NAME
    shop = "eBay"

    def __init__(self, account: EbayAccount, accept_language: str, *shared: Any) -> None:
        super().__init__(*shared)
        self._account = account
        self._headers = {
            "X-EBAY-C-MARKETPLACE-ID": account.marketplace,
            "Accept-Language": accept_language,
            "Accept": "application/json",
        }
        timeout = httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s)
        self._http = httpx.Client(timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def search(self, phrase: str, offset: int, limit: int) -> Mapping[str, Any]:
        """A page of listings.

        Args:
            phrase: at most 100 characters.
            offset: a multiple of `limit`, below 10,000.
            limit: 1 to 200.

        Raises:
            CallError: this request failed: ``ebay.refused``, ``ebay.server``, ``ebay.timeout``,
                ``ebay.unreachable``, ``ebay.unreadable``.
            SourceError: no request can succeed now.
        """
        query = {"q": phrase, "limit": str(limit), "offset": str(offset)}
        return self._get(f"{_BROWSE}/item_summary/search", query, f"search {phrase!r}")

    def item(self, item_id: str) -> Mapping[str, Any]:
        """A listing with its brand and its whole gallery.

        Raises:
            CallError: as `search`.
            SourceError: as `search`.
        """
        return self._get(f"{_BROWSE}/item/{quote(item_id, safe='')}", {}, item_id)

    def _get(self, path: str, query: Mapping[str, str], subject: str) -> Mapping[str, Any]:
        refused: CallError | None = None
        for _ in range(2):
            token = shared_token(self._tokens, NAME, self._account.key, self._mint)
            try:
                return self._retrying(partial(self._ask, path, query, subject, token))
            except _TokenRefusedError as error:
                self._tokens.forget(NAME, self._account.key, token)
                refused = error
        reason = f"eBay refuses its own token{f': {refused.reason}' if refused else ''}"
        raise not_configured(reason, _KEYS_REMEDY) from refused

    def _ask(self, path: str, query: Mapping[str, str], subject: str, token: str) -> Mapping[str, Any]:
        account = self._account
        if not self._quotas.spend(NAME, account.key, account.daily_calls):
            raise SourceError.of(
                "rate_limited",
                NAME,
                f"the day's {account.daily_calls:,} calls are spent",
                "Run the job again tomorrow (UTC), or set EBAY_DAILY_CALLS where eBay grants more",
            )
        request = self._http.build_request(
            "GET",
            account.url + path,
            params=query,
            headers={**self._headers, "Authorization": f"Bearer {token}"},
        )
        answer = self._send(request, subject)
        if answer.status == 401:
            raise _TokenRefusedError("ebay.token", subject, answer.message or "401", _KEYS_REMEDY)
        if answer.status == 403:
            raise SourceError.of(
                "not_eligible", NAME, f"eBay denies access: {answer.message or '403'}", _ACCESS_REMEDY
            )
        return answer.content(subject)

    # -- tokens ------------------------------------------------------------------------------------

    def _mint(self) -> Token:
        return self._retrying(self._mint_once)

    def _mint_once(self) -> Token:
        account = self._account
        if not self._quotas.spend(NAME, f"{account.key} tokens", MINTS_A_DAY):
            reason = f"the day's {MINTS_A_DAY:,} tokens of the key set are minted"
            raise SourceError.of("rate_limited", NAME, reason, "Run the job again tomorrow (UTC)")
        request = self._http.build_request(
            "POST",
            account.url + _TOKEN_PATH,
            data={"grant_type": "client_credentials", "scope": _SCOPE},
            headers={"Accept": "application/json"},
        )
        basic = httpx.BasicAuth(account.client_id, account.secret.get_secret_value())
        sent_at = datetime.now(UTC)
        answer = self._send(next(basic.auth_flow(request)), "token")
        if answer.status in (400, 401, 403):
            raise _mint_refused(answer)
        content = answer.content("token")
        token = read_token(content, sent_at)
        if token is None:
            raise _unreadable("token", "it holds no token with a life time")
        return token

    # -- requests ----------------------------------------------------------------------------------

    def _send(self, request: httpx.Request, subject: str) -> _Answer:
        deadline = time.monotonic() + self._limits.total_s
        try:
            response = self._http.send(request, stream=True)
            try:
                body = self._read(response, deadline, subject)
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise _late(subject) from error
        except httpx.TransportError as error:
            reason = f"eBay is out of reach ({type(error).__name__})"
            raise CallError.passing("ebay.unreachable", subject, reason) from error
        except httpx.DecodingError as error:
            raise _unreadable(subject, "its compression is broken") from error
        answer = _Answer(response.status_code, response.headers, body)
        if answer.status == 429:
            reason = answer.message or "429 Too Many Requests"
            raise TooManyError.passing("ebay.too_many", subject, reason, answer.retry_after_s)
        return answer

    def _read(self, response: httpx.Response, deadline: float, subject: str) -> bytes:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MAX_BYTES:
                raise _unreadable(subject, f"it is over {_MAX_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise _late(subject)
        return bytes(body)


class _TokenRefusedError(CallError):
    """The server takes the token for invalid."""


@dataclass(frozen=True)
class _Answer:
    """A whole answer."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        kind = self.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def message(self) -> str:
        """eBay's own words in a refusal; "" where there are none."""
        return describe(errors_of(self.json))

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that it asks to wait; None where it does not say."""
        return retry_after(self.headers.get("Retry-After"))

    def content(self, subject: str) -> Mapping[str, Any]:
        """The JSON object of a success."""
        if self.status in _RETRYABLE:
            reason = f"eBay answers {self.status}" + (f" ({self.message})" if self.message else "")
            raise CallError.passing("ebay.server", subject, reason, self.retry_after_s)
        if self.status != 200:
            reason = f"eBay refuses it: {self.message or self.status}"
            raise CallError("ebay.refused", subject, reason, "See eBay's list of Browse API errors")
        found = self.json
        if not isinstance(found, dict):
            kind = self.headers.get("Content-Type", "")[:60] or "nothing stated"
            raise _unreadable(subject, f"it is no JSON object but {kind}")
        return found


def _mint_refused(answer: _Answer) -> SourceError:
    body = answer.json if isinstance(answer.json, dict) else {}
    error = str(body.get("error") or answer.message or answer.status)[:100]
    if error == "invalid_scope":
        return SourceError.of("not_eligible", NAME, "the key set may not use the Browse API", _ACCESS_REMEDY)
    return not_configured(f"eBay refuses the key set ({error})", _KEYS_REMEDY)


def _unreadable(subject: str, reason: str) -> CallError:
    # A proxy's or a maintenance page in place of the API's own answer passes.
    return CallError.passing("ebay.unreadable", subject, f"eBay's answer cannot be used: {reason}")


def _late(subject: str) -> CallError:
    return CallError.passing("ebay.timeout", subject, "eBay did not answer in time")
