"""Events out of the outbox to whoever asked for them, and requests of the bus into the inbox."""
