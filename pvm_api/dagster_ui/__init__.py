"""Dagster's web server behind guards of our own: whose requests it answers, and what they may ask for.

`app.py` puts the layers together, each pure ASGI: `guard.py` (hosts, pages of other sites, headers of
answers), `sign_in.py` (sessions, keys), `graphql_rules.py` (what may be asked how; read-only), then Dagster's
own application. `server.py` is the process that `pvm up` starts.
"""
