"""Amazon credentials: from the settings, and as tokens that all processes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from amazon_creatorsapi.core.auth import TimeoutOAuth2TokenManager
from amazon_creatorsapi.core.constants import DEFAULT_HOST
from amazon_creatorsapi.core.oauth import DEFAULT_EXPIRATION, VERSION_ENDPOINTS, get_auth_endpoint
from amazon_creatorsapi.errors import AuthenticationError, InvalidArgumentError
from creatorsapi_python_sdk.auth.oauth2_config import OAuth2Config
from pydantic import SecretStr

from pvm_resources.http.retry import retry_after
from pvm_resources.settings import Settings
from pvm_resources.sources.faults import CallError, SourceError, TooManyError
from pvm_resources.sources.oauth import read_token
from pvm_resources.sources.rate_limit import RequestLimits
from pvm_resources.sources.shop import api_address, require, shared_token
from pvm_resources.store.oauth_tokens import OAuthTokens, Token

NAME: Final = "amazon"
_KEYS_REMEDY: Final = (
    "Check AMAZON_CREDENTIAL_ID, AMAZON_CREDENTIAL_SECRET and AMAZON_CREDENTIAL_VERSION: Associates Central "
    "shows all three with the credential, under Tools, Creators API"
)
#: What the library takes for a token's life, seconds, where the server does not say.
_LIFE_S: Final = float(DEFAULT_EXPIRATION)

#: Marketplace -> its languages, the main one first. The marketplaces are those of the library.
MARKETS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "www.amazon.com": ("en", "es"),
        "www.amazon.ae": ("en", "ar"),
        "www.amazon.ca": ("en", "fr"),
        "www.amazon.co.jp": ("ja", "en"),
        "www.amazon.co.uk": ("en",),
        "www.amazon.com.au": ("en",),
        "www.amazon.com.be": ("fr", "nl"),
        "www.amazon.com.br": ("pt",),
        "www.amazon.com.mx": ("es",),
        "www.amazon.com.tr": ("tr",),
        "www.amazon.de": ("de", "en"),
        "www.amazon.es": ("es",),
        "www.amazon.fr": ("fr",),
        "www.amazon.in": ("en", "hi"),
        "www.amazon.it": ("it",),
        "www.amazon.nl": ("nl", "en"),
        "www.amazon.pl": ("pl",),
        "www.amazon.sa": ("ar", "en"),
        "www.amazon.se": ("sv", "en"),
        "www.amazon.sg": ("en",),
    }
)


@dataclass(frozen=True)
class AmazonAccount:
    """A Creators API credential and what it is used for.

    Attributes:
        credential_id, secret, version: the credential; its version decides how tokens are had.
        partner_tag: the Associate's tag, registered for the marketplace.
        marketplace: whose catalogue is searched.
        api_url, token_url: where the API and its tokens are.
    """

    credential_id: str
    secret: SecretStr = field(repr=False)
    version: str
    partner_tag: str
    marketplace: str
    api_url: str
    token_url: str

    @classmethod
    def of(cls, settings: Settings) -> AmazonAccount:
        """The account that the settings describe.

        Raises:
            SourceError: ``source.not_configured``, naming the variables that are missing or wrong.
        """
        credential_id, version = settings.amazon_credential_id or "", settings.amazon_credential_version or ""
        secret, tag = settings.amazon_credential_secret or SecretStr(""), settings.amazon_partner_tag or ""
        given = {
            "AMAZON_CREDENTIAL_ID": credential_id,
            "AMAZON_CREDENTIAL_SECRET": secret,
            "AMAZON_CREDENTIAL_VERSION": version,
            "AMAZON_PARTNER_TAG": tag,
        }
        require(NAME, given, "Set all four from Associates Central, Tools, Creators API; see docs/sources.md")
        if settings.amazon_marketplace not in MARKETS:
            reason = f"AMAZON_MARKETPLACE is {settings.amazon_marketplace!r}, which the API does not serve"
            raise _not_configured(reason, f"Set it to one of {', '.join(MARKETS)}")
        api_url = api_address(NAME, "AMAZON_API_URL", settings.amazon_api_url or DEFAULT_HOST)
        token_url = _token_url(version, settings.amazon_token_url)
        token_url = api_address(NAME, "AMAZON_TOKEN_URL", token_url)
        return cls(credential_id, secret, version, tag, settings.amazon_marketplace, api_url, token_url)

    @property
    def key(self) -> str:
        """Under what its token is stored: the credential at that address."""
        return f"{self.credential_id}@{urlsplit(self.token_url).netloc}"


class SharedTokens(TimeoutOAuth2TokenManager):
    """The library's token manager with its tokens in the database, so that all processes use one.

    Args:
        account: whose tokens.
        tokens: where they are stored.
        retrying: calls, by the policy of retries.
        limits: what one request may cost; a token is small, so its total is not counted.
    """

    def __init__(
        self,
        account: AmazonAccount,
        tokens: OAuthTokens,
        retrying: Callable[[Callable[[], Token]], Token],
        limits: RequestLimits,
    ) -> None:
        secret = account.secret.get_secret_value()
        config = OAuth2Config(account.credential_id, secret, account.version, account.token_url)  # type: ignore[no-untyped-call]
        super().__init__(config, (limits.connect_s, limits.read_s))
        self._account = account
        self._tokens = tokens
        self._retrying = retrying
        self._given: str | None = None

    def get_token(self) -> str:
        """The account's token.

        Raises:
            SourceError: none can be minted.
        """
        mint = partial(self._retrying, self._mint)
        self._given = shared_token(self._tokens, NAME, self._account.key, mint)
        return self._given

    def clear_token(self) -> None:
        """Forgets the token given last: the API refused it."""
        if self._given is not None:
            self._tokens.forget(NAME, self._account.key, self._given)
            self._given = None

    def _mint(self) -> Token:
        sent_at = datetime.now(UTC)
        try:
            response = self._request_token()
        except AuthenticationError as error:
            reason = "Amazon's token server is out of reach, or does not answer in time"
            raise CallError.passing("amazon.unreachable", "token", reason) from error
        content = _content(response)
        if response.status_code == 429 or response.status_code >= 500:
            reason = f"Amazon's token server answers {response.status_code}"
            kind = TooManyError if response.status_code == 429 else CallError
            wait_s = retry_after(response.headers.get("Retry-After"))
            raise kind.passing("amazon.server", "token", reason, wait_s)
        if response.status_code != 200:
            message = str(content.get("error") or response.status_code)[:100]
            raise _not_configured(f"Amazon refuses the credential ({message})", _KEYS_REMEDY)
        token = read_token(content, sent_at, _LIFE_S)
        if token is None:
            reason = "Amazon's token server answers without a token"
            raise CallError.passing("amazon.unreadable", "token", reason)
        return token


def refused_token(message: str) -> SourceError:
    """What it means that the API refuses a fresh token."""
    return _not_configured(f"Amazon refuses its own token ({message})", _KEYS_REMEDY)


def refused_tag(account: AmazonAccount, message: str) -> SourceError:
    """What it means that the API refuses the partner tag."""
    reason = (
        f"Amazon refuses AMAZON_PARTNER_TAG {account.partner_tag!r} for {account.marketplace} ({message})"
    )
    return _not_configured(reason, "Give a tag of this account that is registered for that marketplace")


def _content(response: requests.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _token_url(version: str, given: str | None) -> str:
    try:
        return get_auth_endpoint(version, given)
    except InvalidArgumentError as error:
        reason = f"AMAZON_CREDENTIAL_VERSION is {version!r}, which is unknown"
        raise _not_configured(reason, f"Set it to one of {', '.join(VERSION_ENDPOINTS)}") from error


def _not_configured(reason: str, remedy: str) -> SourceError:
    return SourceError.of("not_configured", NAME, reason, remedy)
