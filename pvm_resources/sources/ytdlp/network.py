"""yt-dlp on connections that are checked: what it asks for, and wherever a server sends it on to."""

from __future__ import annotations

import socket
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
from yt_dlp import YoutubeDL
from yt_dlp.networking._urllib import HTTPHandler, UrllibRH
from yt_dlp.networking.exceptions import RequestError, TransportError

from pvm_resources.http.address_policy import AddressError, AddressPolicy, Target

#: Sends requests like a browser, where it is installed. It opens its own connections, so addresses are only
#: checked before.
_IMPERSONATING: Final = "CurlCFFI"


class AddressRefusedError(RequestError):  # type: ignore[misc]
    """The address is not allowed; not a fault of transport, so nothing is tried again.

    Attributes:
        refusal: the policy's own error.
    """

    def __init__(self, refusal: AddressError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Gate:
    """Judges where a connection goes.

    Args:
        policy: decides about addresses.
        known_sites: only extractors of known sites ask. They may ask public servers on any port, as
            Bilibili's edge servers need, and through a browser's disguise, whose redirects go unchecked.
    """

    def __init__(self, policy: AddressPolicy, *, known_sites: bool) -> None:
        self._policy = policy
        self.known_sites = known_sites

    def addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        """Addresses to connect to.

        Raises:
            AddressRefusedError: it is not allowed.
            OSError: the name does not resolve.
        """
        target = Target("https" if port == 443 else "http", host.strip("[]").rstrip(".").lower(), port)
        try:
            try:
                return self._policy.addresses(target, timeout)
            except AddressError as refusal:
                if refusal.code != "fetch.port" or not self.known_sites:
                    raise
                return self._policy.addresses(Target("https", target.host, 443), timeout)
        except AddressError as refusal:
            raise AddressRefusedError(refusal) from refusal
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise OSError(str(error)) from error

    def connect(
        self, address: tuple[str, int], timeout: Any = None, source_address: Any = None
    ) -> socket.socket:
        """A connection to one of the addresses judged, in place of `socket.create_connection`.

        Raises:
            AddressRefusedError: it is not allowed.
            OSError: none of them answers.
        """
        host, port = address
        seconds = timeout if isinstance(timeout, int | float) else None
        fault: OSError | None = None
        for found in self.addresses(host, port, seconds):
            try:
                return socket.create_connection((found, port), seconds, source_address)
            except OSError as error:
                fault = fault or error
        assert fault is not None
        raise fault


class _Checked(UrllibRH):  # type: ignore[misc]
    """yt-dlp's own handler of requests, over `Gate`."""

    _SUPPORTED_URL_SCHEMES = ("http", "https", "data")
    gate: Gate

    def _create_instance(self, proxies: Any, cookiejar: Any, legacy_ssl_support: Any = None) -> Any:
        opener = super()._create_instance(proxies, cookiejar, legacy_ssl_support)
        # A redirect may lead to FTP, whose handler opens its own connections.
        opener.handle_open.pop("ftp", None)
        for handler in opener.handlers:
            if isinstance(handler, HTTPHandler):
                handler._make_conn_class = self._connection_class
        return opener

    def _connection_class(self, base: Any, request: Any) -> Any:
        gate = self.gate

        class Connection(base):  # type: ignore[misc]
            """Below redirects: each hop makes a connection of its own."""

            def connect(self) -> None:
                self._create_connection = gate.connect
                super().connect()

        return Connection


class CheckedYoutubeDL(YoutubeDL):  # type: ignore[misc]
    """yt-dlp whose requests all pass `gate`; with a proxy set, the proxy decides where they go.

    Args:
        params: as yt-dlp takes them.
        gate: what connections are judged by; None where a proxy makes them.
    """

    def __init__(self, params: dict[str, Any], gate: Gate | None) -> None:
        self._gate = gate
        super().__init__(params)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """The handlers of requests, each bound to the gate."""
        gate = self._gate
        if gate is None:
            return super().build_request_director(handlers, preferences)
        bound = [type("UrllibRH", (_Checked,), {"gate": gate})]
        if gate.known_sites:
            bound += [_before(handler, gate) for handler in handlers if handler.RH_KEY == _IMPERSONATING]
        return super().build_request_director(bound, preferences)


def _before(handler: Any, gate: Gate) -> Any:
    """That handler, with the address of each request checked before it is sent."""

    def _send(self: Any, request: Any) -> Any:
        address = urlsplit(request.url)
        try:
            gate.addresses(address.hostname or "", address.port or 443, self._calculate_timeout(request))
        except OSError as error:
            raise TransportError(cause=error) from error
        return handler._send(self, request)

    return type(f"{_IMPERSONATING}RH", (handler,), {"_send": _send})
