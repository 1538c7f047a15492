"""The generator as MLflow loads it: models-from-code, so that nothing is pickled.

MLflow runs this file when a registered generator is loaded; `synth_pipeline` itself must be installed there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc  # noqa: TID253  (this file is only ever run by MLflow)
import pandas as pd
from mlflow.models import set_model  # noqa: TID253

ARTIFACT = "generator"
DEFAULT_ROWS = 100


class SyntheticRows(mlflow.pyfunc.PythonModel):
    """Samples synthetic rows; the input is ignored, everything is asked for by parameters."""

    def load_context(self, context: Any) -> None:
        """Load the generator that was logged with the model."""
        from synth_pipeline.release.model import load_model

        self.generator = load_model(Path(context.artifacts[ARTIFACT]))

    # MLflow takes a hint on model_input as the schema of the input, and there is none.
    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]  # the base has no return type, and is read as None
        self,
        context: Any,
        model_input=None,  # noqa: ANN001  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]
        params: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Rows of the synthetic table.

        Args:
            context: MLflow's; not used.
            model_input: not used; give None or an empty table.
            params: `num_rows`; `seed` (negative: a fresh draw); `where` (SQL condition that every row satisfies; empty: none).
        """
        asked = dict(params or {})
        seed = int(asked.get("seed", -1))
        return self.generator.sample(
            int(asked.get("num_rows", DEFAULT_ROWS)), where=asked.get("where") or None, seed=None if seed < 0 else seed
        )


set_model(SyntheticRows())
