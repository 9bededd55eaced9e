"""Catalogues and videos to be named by jobs."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from pvm_api import models
from pvm_api.deps import Runner, ServicesDep
from pvm_jobs.catalogue_columns import read_columns

router: Final = APIRouter(tags=["jobs"])

_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/v1/uploads",
    operation_id="uploadCatalogue",
    status_code=201,
    openapi_extra=_FILE,
    summary="Upload a catalogue or a video",
)
async def upload(
    request: Request,
    services: ServicesDep,
    caller: Runner,
    filename: Annotated[
        str,
        Query(
            min_length=1, max_length=200, description="Its suffix names the kind.", examples=["products.csv"]
        ),
    ],
    columns: Annotated[
        str | None,
        Query(
            max_length=2_000,
            description="Columns by field, where their names say it not; the job names them too.",
            examples=['product_id=SKU,image="Image URL"'],
        ),
    ] = None,
) -> models.Upload:
    """The body is the file. A catalogue's pictures are http(s) URLs. A job names the answer's `source`."""
    named = read_columns([columns] if columns else ())
    return await services.uploads.take(request.stream(), filename, caller.caller, named)
