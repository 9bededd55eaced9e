"""The layers around Dagster's application, and who has to sign in."""

from __future__ import annotations

from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from pvm_api.dagster_ui.graphql_rules import GraphqlRules
from pvm_api.dagster_ui.guard import Guard
from pvm_api.dagster_ui.options import Options
from pvm_resources.store.api_keys import Keys


def guarded(dagster: ASGIApp, options: Options, keys: Keys | None) -> ASGIApp:
    """Dagster's application behind the guards.

    Args:
        dagster: built with the same path prefix and read-only flag.
        keys: where the keys are; None where nobody has to sign in.
    """
    app: ASGIApp = GraphqlRules(dagster, options.prefix, options.read_only)
    if keys is not None:
        from pvm_api.dagster_ui.sessions import Sessions
        from pvm_api.dagster_ui.sign_in import SignIn

        app = SignIn(app, Sessions(keys), options.prefix, f"pvm_ui_{options.port}")
    if options.proxies:
        trusted = [str(network) for network in options.proxies.networks]
        app = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type, assignment]
    return Guard(app, options.hosts, options.proxies)
