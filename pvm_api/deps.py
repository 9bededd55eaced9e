"""Dependencies of routes, as annotated types."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request

from pvm_api.auth import Principal, require
from pvm_api.services import Services, services

ServicesDep = Annotated[Services, Depends(services)]
Reader = Annotated[Principal, Depends(require("read"))]
Runner = Annotated[Principal, Depends(require("run"))]
Admin = Annotated[Principal, Depends(require("admin"))]

_JOB_ID: Final = r"^[A-Za-z0-9_-]{1,100}$"
JobId = Annotated[str, Path(pattern=_JOB_ID, examples=["01kaq2x8r3n6m4tz"])]
JobFilter = Annotated[str | None, Query(pattern=_JOB_ID, description="Of this job only.")]
IndustryName = Annotated[
    str, Path(min_length=1, max_length=200, description="Name or slug.", examples=["goi-cong-thai-hoc"])
]
IndustryFilter = Annotated[str | None, Query(max_length=200, description="Name or slug.")]


async def base_url(request: Request, services: ServicesDep) -> str:
    """The address that links begin with."""
    return services.base(request)


Base = Annotated[str, Depends(base_url)]
