"""The generator as MLflow loads and serves it: models-from-code, so that nothing is pickled.

MLflow runs this file when a registered generator is loaded; `synth_pipeline` itself must be installed there. Behind `mlflow models serve`
the rows are plain JSON (nulls as null, dates as ISO 8601 text), a request has a largest size, and whatever is wrong with it is answered
with one line and status 400; see docs/serving.md.
"""

import inspect
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc  # noqa: TID253  (this file is only ever run by MLflow)
import pandas as pd
from mlflow.exceptions import MlflowException  # noqa: TID253
from mlflow.models import set_model  # noqa: TID253
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE  # noqa: TID253

from synth_pipeline.errors import ModelError, SynthPipelineError

ARTIFACT = "generator"
DEFAULT_ROWS = 100
MOST_ROWS_VARIABLE = "SYNTH_PIPELINE_MOST_ROWS_SERVED"
DEFAULT_MOST_ROWS = 100_000
PARAMETERS = ("num_rows", "where", "shares", "seed")
_MOST_CALLERS = 20
_SERVED_VARIABLE = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow sets it in a scoring server
_LOG = logging.getLogger(__name__)


class _RefusalError(MlflowException):
    """An answer in one line: MLflow would put the text of the input table before it."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line, error_code=code)
        self._line = " ".join(line.split())

    @property
    def message(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._line

    @message.setter
    def message(self, text: str) -> None:
        """The line stays as it is."""


class SyntheticRows(mlflow.pyfunc.PythonModel):
    """Samples synthetic rows; the input is empty, everything is asked for by parameters."""

    def load_context(self, context: Any) -> None:
        """Load the generator that was logged with the model.

        Raises:
            ModelError: if the largest size of a request is not a number of rows; a server refuses to start then.
        """
        from synth_pipeline.release.model import load_model

        self.most_rows = _most_rows()
        self.generator = load_model(Path(context.artifacts[ARTIFACT]))

    # MLflow takes a hint on model_input as the schema of the input, and there is none.
    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]  # the base has no return type, and is read as None
        self,
        context: Any,
        model_input=None,  # noqa: ANN001  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]
        params: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame | list[dict[str, Any]]:
        """Rows of the synthetic table; a data frame in Python, records of JSON values behind a scoring server.

        Args:
            context: MLflow's; not used.
            model_input: None or an empty table.
            params: `num_rows`; `seed` (negative: a fresh draw); `where` (SQL condition that every row satisfies; empty: none); `shares`
                (JSON: shares of groups or classes, as `ReleasedModel.rebalance` takes them; empty: none).

        Raises:
            MlflowException: with one line, behind a scoring server: status 400 for what is wrong with the request.
        """
        if os.environ.get(_SERVED_VARIABLE) != "true":
            _refuse_unknown()
            return self._drawn(dict(params or {}))
        try:
            _refuse_input(model_input)
            _refuse_unknown()
            return _records(self._drawn(dict(params or {}), most=self.most_rows))
        except SynthPipelineError as fault:
            raise _RefusalError(str(fault).replace("--where", "where"), INVALID_PARAMETER_VALUE) from None
        except Exception as error:  # noqa: BLE001  (MLflow would answer with its traceback)
            _LOG.exception("a request was not answered")
            line = f"stopped by an unexpected {type(error).__name__}; the server's log has more"
            raise _RefusalError(line, INTERNAL_ERROR) from None

    def _drawn(self, asked: Mapping[str, Any], *, most: int | None = None) -> pd.DataFrame:
        rows, seed = int(asked.get("num_rows", DEFAULT_ROWS)), int(asked.get("seed", -1))
        where, shares = asked.get("where") or None, asked.get("shares") or None
        if most is not None and not 1 <= rows <= most:
            raise ModelError(
                f"num_rows: {rows:,} asked for; a request gets 1 to {most:,} rows: ask several times for more"
            )
        if where is not None and shares is not None:
            raise ModelError("where, shares: give one of them; shares may be conditions themselves")
        drawn_by = None if seed < 0 else seed
        if shares is not None:
            return self.generator.rebalance(rows, shares=_shares(shares), seed=drawn_by)
        return self.generator.sample(rows, where=where, seed=drawn_by)


def _most_rows() -> int:
    """The largest size of a served request."""
    text = os.environ.get(MOST_ROWS_VARIABLE) or str(DEFAULT_MOST_ROWS)
    if not text.isdecimal() or int(text) < 1:
        raise ModelError(f"{MOST_ROWS_VARIABLE}: {text!r} is not a number of rows; give a whole number of at least 1")
    return int(text)


def _shares(text: Any) -> Any:
    """Shares from JSON: an object by column, or pairs of a condition and its share.

    Raises:
        ModelError: if it is neither.
    """
    try:
        shares = json.loads(text)
    except (TypeError, ValueError):
        shares = None
    are_pairs = isinstance(shares, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in shares
    )
    if shares and (isinstance(shares, dict) or are_pairs):
        return shares
    raise ModelError(
        'shares: give JSON text: an object by column, {"sex": "equal"}, or pairs of a condition and its share, [["age < 30", 0.5], …]'
    )


def _refuse_input(given: Any) -> None:
    """Refuse rows or values in the input: they would be ignored, and so would a condition that was put there by mistake.

    Raises:
        ModelError: if there are any.
    """
    if given is not None and len(given):
        raise ModelError(
            "inputs: leave them empty; ask by params: num_rows, seed, where, shares, as in"
            ' {"inputs": [], "params": {"num_rows": 10, "where": "age < 30"}}'
        )


def _refuse_unknown() -> None:
    """Refuse parameters that do not exist: MLflow leaves them out with a line in its log, and `were` would be no condition at all.

    What was asked is only where MLflow got it, in its own `predict` that called this one. Where it is not found there any more (MLflow may
    be rewritten), nothing is refused.

    Raises:
        ModelError: if there are any.
    """
    frame = inspect.currentframe()
    for _ in range(_MOST_CALLERS):
        frame = None if frame is None else frame.f_back
        if frame is None:
            return
        if frame.f_code.co_name == "predict" and isinstance(frame.f_locals.get("self"), mlflow.pyfunc.PyFuncModel):
            asked = frame.f_locals.get("params")
            unknown = sorted(str(name) for name in asked if name not in PARAMETERS) if isinstance(asked, dict) else []
            if unknown:
                raise ModelError(
                    f"params: no parameter {', '.join(map(repr, unknown))}; there are {', '.join(PARAMETERS)}"
                )
            return


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as values that JSON has: null for whatever is missing, ISO 8601 text for moments."""
    plain = {str(name): _plain(pd.Series(column)) for name, column in frame.items()}
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    if pd.api.types.is_datetime64_any_dtype(column):
        return [None if pd.isna(moment) else moment.isoformat() for moment in column]
    values = column.astype(object).tolist()
    return [None if pd.isna(value) else value.item() if hasattr(value, "item") else value for value in values]


set_model(SyntheticRows())
