"""The embedded PostgreSQL server, the driver, migrations, connection strings, advisory locks."""
