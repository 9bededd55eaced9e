"""Events from the outbox to their endpoints, and requests from the bus into the inbox."""
