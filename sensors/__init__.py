"""Sensors and schedules: requests to runs, runs without a worker, how runs ended, what needs attention."""

from __future__ import annotations

from typing import Final

from sensors.catalogue import JOBS as _CATALOGUE_JOBS
from sensors.catalogue import catalogue
from sensors.inbox import inbox
from sensors.inventory import INVENTORY_CHECKS, PLATFORM, inventory
from sensors.purge import JOBS as _PURGE_JOBS
from sensors.purge import hourly_purge
from sensors.run_status import cancelled_runs, failed_runs
from sensors.stale_runs import stale_runs
from sensors.standing import standing_industries

SENSORS: Final = (inbox, catalogue, inventory, stale_runs, failed_runs, cancelled_runs)
JOBS: Final = (*_PURGE_JOBS, *_CATALOGUE_JOBS)
SCHEDULES: Final = (standing_industries, hourly_purge)
#: External assets and their checks.
EXTERNAL: Final = (PLATFORM,)
EXTERNAL_CHECKS: Final = INVENTORY_CHECKS
