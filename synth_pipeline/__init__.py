"""synth_pipeline: synthetic tables with an end-to-end differential-privacy guarantee.

Belongs here: the public Python API, imported lazily (torch and friends load when first needed). Does not: anything else.

Example:
    >>> from synth_pipeline import Spec
    >>> Spec.from_mapping({"dataset": "d", "columns": {"x": {"kind": "boolean"}}, "privacy": {"epsilon": 1}}).dataset
    'd'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_pipeline.errors import BudgetRefused, SynthPipelineError
    from synth_pipeline.privacy.ledger import Ledger
    from synth_pipeline.release.model import ReleasedModel
    from synth_pipeline.release.model import load_model as load
    from synth_pipeline.spec import Spec
    from synth_pipeline.walk import fit

__all__ = ["BudgetRefused", "Ledger", "ReleasedModel", "Spec", "SynthPipelineError", "fit", "load"]

_PLACES = {
    "BudgetRefused": ("synth_pipeline.errors", "BudgetRefused"),
    "Ledger": ("synth_pipeline.privacy.ledger", "Ledger"),
    "ReleasedModel": ("synth_pipeline.release.model", "ReleasedModel"),
    "Spec": ("synth_pipeline.spec", "Spec"),
    "SynthPipelineError": ("synth_pipeline.errors", "SynthPipelineError"),
    "fit": ("synth_pipeline.walk", "fit"),
    "load": ("synth_pipeline.release.model", "load_model"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'synth_pipeline' has no attribute {name!r}; it offers {', '.join(__all__)}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
