"""What a job is: its request, life cycle, phases, events and contracts, rules. Pure: no I/O."""
