"""The retry policy of assets that use the network."""

from __future__ import annotations

from typing import Final

import dagster as dg

#: For faults of the transport, kept by `pvm_assets.stage`: Dagster itself would take a cancelled run for a
#: fault too and try the step again. A permanent fault is raised with `allow_retries=False`. Single requests
#: have been retried by then, hence few and slow retries here; what was collected is not requested again.
NETWORK: Final = dg.RetryPolicy(
    max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
