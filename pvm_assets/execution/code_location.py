"""The code location that workspace.yaml names: what Dagster's processes load, `pvm run` loads too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from dagster._core.definitions.reconstruct import ReconstructableJob
    from dagster._core.remote_origin import RemoteJobOrigin

#: Dagster's name for the repository of a `Definitions` object.
_REPOSITORY = "__repository__"


@dataclass(frozen=True)
class CodeLocation:
    """A python module that holds the definitions.

    Attributes:
        module, attribute: where the `Definitions` object is.
        name: of the location in the UI.
    """

    module: str
    attribute: str
    name: str

    @classmethod
    def of_workspace(cls, file: Path) -> CodeLocation:
        """The first location of a workspace file."""
        entry = yaml.safe_load(file.read_text(encoding="utf-8"))["load_from"][0]["python_module"]
        return cls(entry["module_name"], entry["attribute"], entry["location_name"])

    def job(self, name: str) -> ReconstructableJob:
        """A job of the location, in the form that another process can load, as some executors need it."""
        from dagster._core.definitions.reconstruct import ReconstructableRepository

        return ReconstructableRepository.for_module(
            self.module, self.attribute, working_directory=None
        ).get_reconstructable_job(name)

    def origin_of(self, job: str) -> RemoteJobOrigin:
        """The origin under which the UI knows the job."""
        from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin as Origin
        from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
        from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

        target = LoadableTargetOrigin(module_name=self.module, attribute=self.attribute)
        location = Origin(target, self.name)
        return RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), job)
