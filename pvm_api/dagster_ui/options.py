"""How the Dagster UI is served, from the settings and from where it listens."""

from __future__ import annotations

from dataclasses import dataclass

from pvm_api.origin import Authority, Hosts, Proxies
from pvm_resources.settings import Settings, networks_of


@dataclass(frozen=True)
class Options:
    """How the Dagster UI is served.

    Attributes:
        host, port: where it listens.
        prefix: its path, "" or ``/dagster``.
        sign_in: whether it asks who one is.
        read_only: whether it refuses all changes.
        hosts: answered to besides this machine's own names.
        proxies: their forwarded headers are believed.
    """

    host: str
    port: int
    prefix: str
    sign_in: bool
    read_only: bool
    hosts: Hosts
    proxies: Proxies

    @classmethod
    def of(cls, settings: Settings, host: str, port: int) -> Options:
        """The options of a server that listens there.

        Without PVM_UI_AUTH one has to sign in unless this machine alone reaches it: it listens on loopback,
        and no setting names a host or a proxy by which others do.

        Raises:
            InputError: ``settings.invalid``.
        """
        hosts = Hosts.parse(settings.ui_hosts, "PVM_UI_HOSTS")
        proxies = Proxies(networks_of(settings.trusted_proxies))
        listens = Authority.parse(f"[{host}]" if ":" in host else host)
        alone = listens is not None and listens.loopback and not hosts.names and not proxies
        if listens is not None:
            hosts = Hosts(hosts.names | {listens.host})
        return cls(
            host=host,
            port=port,
            prefix=settings.ui_path_prefix,
            sign_in=not alone if settings.ui_auth is None else settings.ui_auth,
            read_only=settings.ui_read_only,
            hosts=hosts,
            proxies=proxies,
        )

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        reached = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{reached}]' if ':' in reached else reached}:{self.port}{self.prefix}"
