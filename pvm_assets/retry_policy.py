"""How assets that ask the network are retried by Dagster."""

from __future__ import annotations

from typing import Final

import dagster as dg

#: For faults of the transport, kept by `pvm_assets.stage`: Dagster itself would take a cancelled run for a
#: fault too and try the step again. A permanent fault is raised with `allow_retries=False`. Single requests
#: have had their own tries by then, hence few and slow ones here; what was collected is not asked for again.
NETWORK: Final = dg.RetryPolicy(
    max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
