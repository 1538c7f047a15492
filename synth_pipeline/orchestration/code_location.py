"""The code location: every dataset's component, loaded from folders of `defs.yaml`, with the resources of one home.

Belongs here: putting the parts together. Does not: what a dataset is made of (component).
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from synth_pipeline import defs as bundled
from synth_pipeline.errors import SpecError
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.component import SyntheticDataset
from synth_pipeline.orchestration.executor import walk_executor
from synth_pipeline.orchestration.io_managers import ZoneIOManager
from synth_pipeline.orchestration.keys import PRIVATE_IO, RELEASED_IO
from synth_pipeline.orchestration.resources import HomeResource, StageRuntime, TrackingResource
from synth_pipeline.spec import Spec

DEFS_VARIABLE = "SYNTH_PIPELINE_DEFS"
_OWN_MODULE = "synth_pipeline_own_defs"


def build_defs(
    *, resources: Mapping[str, Any] | None = None, home: str | Path | None = None, own: str | Path | None = None
) -> dg.Definitions:
    """Every definition, with the resources of one home.

    Args:
        resources: resources that replace the usual ones (`home`, `tracking`, `runtime`, `private_io`, `released_io`) or join them.
        home: the home folder; default `$SYNTH_PIPELINE_HOME`, else `.synth_pipeline`.
        own: folder of your own datasets, one folder with a `defs.yaml` each; default `$SYNTH_PIPELINE_DEFS`, else none.
    """
    common = dg.Definitions(resources={**home_resources(Home.at(home)), **(resources or {})}, executor=walk_executor())
    # From each folder, not from its tree's root: a root also imports every component library that is installed.
    return dg.Definitions.merge(*(tree.build_defs(tree.defs_module_path) for tree in _trees(own)), common)


def load_specs(own: str | Path | None = None) -> dict[str, Spec]:
    """The specification of every dataset of the code location, by name.

    Raises:
        SpecError: if two components have the same dataset name.
    """
    specs: dict[str, Spec] = {}
    for tree in _trees(own):
        for component in tree.get_all_components(of_type=SyntheticDataset):
            if component.spec.dataset in specs:
                raise SpecError(f"dataset {component.spec.dataset!r} is declared twice; give each dataset its own name")
            specs[component.spec.dataset] = component.spec
    return specs


def home_resources(home: Home) -> dict[str, Any]:
    """The usual resources: everything embedded in one home folder, but for what the environment places elsewhere."""
    return {
        "home": HomeResource(folder=str(home.folder)),
        "tracking": TrackingResource.of(home),
        "runtime": StageRuntime(),
        PRIVATE_IO: ZoneIOManager(home=str(home.folder), zone="private"),
        RELEASED_IO: ZoneIOManager(home=str(home.folder), zone="released"),
    }


def _trees(own: str | Path | None) -> list[dg.ComponentTree]:
    trees = [dg.ComponentTree.from_module(defs_module=bundled, project_root=Path(bundled.__path__[0]).parent)]
    folder = own or os.environ.get(DEFS_VARIABLE)
    if folder:
        place = Path(folder).expanduser().resolve()
        if not place.is_dir():
            raise SpecError(
                f"${DEFS_VARIABLE}: {place}: no such folder; give the folder that holds your datasets' folders"
            )
        trees.append(dg.ComponentTree.from_module(defs_module=_module_of(place), project_root=place))
    return trees


def _module_of(folder: Path) -> ModuleType:
    """A package without code over a folder: Dagster finds components through packages."""
    module = ModuleType(_OWN_MODULE)
    module.__path__ = [str(folder)]
    module.__file__ = None
    sys.modules[_OWN_MODULE] = module
    return module
