"""The schema: Alembic migrations, one history for everything this project stores."""
