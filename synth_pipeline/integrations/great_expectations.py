"""The Great Expectations bridge: runs a suite on a synthetic table and keeps static Data Docs of it.

Only synthetic tables may be passed in, as `Released`: results and pages show sampled unexpected values. A frame that is marked private
(`privacy.gate.mark_private`) cannot be one. Nothing is sent anywhere: analytics are off, and the pages hold no link to outside
resources (see `data_docs`).

What a run leaves is a project of Great Expectations: suite, validation definition, checkpoint and result are files below `gx/`, beside the
pages, where `gx.get_context(mode="file")` finds them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from synth_pipeline.integrations.data_docs import keep_pages
from synth_pipeline.privacy.gate import Released, opened
from synth_pipeline.table.column import category_key
from synth_pipeline.validate import expectation as types
from synth_pipeline.validate.expectation import Expectation, Outcome
from synth_pipeline.validate.reading import is_temporal

if TYPE_CHECKING:
    import great_expectations as gx
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.data_context import AbstractDataContext
    from great_expectations.data_context.types.base import DataContextConfig

_SITE, _PROJECT, _SOURCE = "data_docs", "gx", "synthetic"
_HEAD = """# The checks of a synthetic table as a project of Great Expectations. Its checkpoint runs on any table of these columns:
#   import great_expectations as gx
#   import synth_pipeline.integrations.great_expectations_checks    (expectations that Great Expectations lacks)
#   context = gx.get_context(mode="file", project_root_dir=FOLDER_ABOVE_THIS_ONE)
#   context.checkpoints.get("NAME").run(batch_parameters={"dataframe": frame})
"""
_OBSERVED = {types.ROW_COUNT: "rows", types.NON_NULL_SHARE: "non_null_share", types.MEAN: "mean"}


@dataclass(frozen=True)
class SuiteResult:
    """What a run of a suite found.

    Attributes:
        outcomes: one outcome an expectation, in the suite's order.
        docs_index: start page of the static Data Docs.
        success: whether no blocking expectation failed.
    """

    outcomes: tuple[Outcome, ...]
    docs_index: Path
    success: bool


def run_suite(
    released: Released[pd.DataFrame],
    expectations: tuple[Expectation, ...],
    *,
    docs_dir: Path,
    suite_name: str,
    run_name: str,
) -> SuiteResult:
    """Run a suite on a synthetic table through Great Expectations, and keep its Data Docs.

    Args:
        released: a synthetic table.
        expectations: the suite.
        docs_dir: folder of the Data Docs; replaced as a whole when the pages are complete.
        suite_name: name of the suite in the pages.
        run_name: name of this run in the pages, such as the snapshot's.

    Raises:
        PrivacyError: for a table that is not `Released`.
    """
    frame = opened(released, where=f"suite {suite_name!r}: the table")
    with TemporaryDirectory(prefix="data_docs_") as scratch:
        site = Path(scratch)
        context = _context(site)
        result = _run(context, frame, expectations, suite_name=_plain(suite_name), run_name=_plain(run_name))
        _keep_project(context, site / _PROJECT)
        index = keep_pages(site, docs_dir, title=suite_name, run=run_name)
    outcomes = _outcomes(expectations, result)
    return SuiteResult(outcomes, index, not any(outcome.is_blocking_failure for outcome in outcomes))


def _context(site: Path) -> "AbstractDataContext":
    """An ephemeral context that keeps its objects and its Data Docs in a folder, shows no progress bars and sends no events."""
    import great_expectations as gx

    return gx.get_context(mode="ephemeral", project_config=_config(site / _PROJECT, pages=str(site)))


def _config(project: Path | None, *, pages: str) -> "DataContextConfig":
    """Settings of a context whose files lie in a project's folder; None: in the one that holds the settings."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        FilesystemStoreBackendDefaults,
        ProgressBarsConfig,
    )

    places: Any = FilesystemStoreBackendDefaults(root_directory=project)
    for store in places.stores.values():
        store["store_backend"]["suppress_store_backend_id"] = True  # a hidden file that is of no use here
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": pages},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    return DataContextConfig(
        store_backend_defaults=places,
        data_docs_sites={_SITE: site},
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )


def _keep_project(context: "AbstractDataContext", folder: Path) -> None:
    """Write the settings by which Great Expectations opens the folder, in which a run has left its objects, as a project."""
    from great_expectations.datasource.fluent.config import GxConfig

    source = json.loads(context.data_sources.get(_SOURCE).json())
    settings = _config(None, pages="uncommitted/data_docs/").to_yaml_str()
    text = f"{_HEAD}{settings}{GxConfig(fluent_datasources=[source]).yaml()}"
    (folder / "great_expectations.yml").write_text(text, encoding="utf-8")


def _run(
    context: "AbstractDataContext",
    frame: pd.DataFrame,
    expectations: tuple[Expectation, ...],
    *,
    suite_name: str,
    run_name: str,
) -> "ExpectationSuiteValidationResult":
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction

    batch = (
        context.data_sources.add_pandas(_SOURCE)
        .add_dataframe_asset("table")
        .add_batch_definition_whole_dataframe("whole")
    )
    suite = context.suites.add(
        gx.ExpectationSuite(name=suite_name, expectations=[_translated(item, frame) for item in expectations])
    )
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite_name, data=batch, suite=suite))
    checkpoint = gx.Checkpoint(
        name=suite_name,
        validation_definitions=[definition],
        actions=[UpdateDataDocsAction(name="pages", site_names=[_SITE])],
        result_format="SUMMARY",
    )
    result = context.checkpoints.add(checkpoint).run(
        batch_parameters={"dataframe": frame},
        run_id=gx.RunIdentifier(run_name=run_name, run_time=datetime.now(UTC)),
    )
    return next(iter(result.run_results.values()))


def _translated(expectation: Expectation, frame: pd.DataFrame) -> "gx.expectations.Expectation":
    """The Great Expectations expectation, with our words, name and severity."""
    import great_expectations.expectations as core

    from synth_pipeline.integrations.great_expectations_checks import CLASSES

    consequence = "stops the release if it fails" if expectation.is_blocking else "a failure is shown and stops nothing"
    words: dict[str, Any] = {
        "description": expectation.description + ("" if expectation.is_blocking else " [warns only]"),
        "notes": f"Check `{expectation.name}`, about {expectation.kind}: {consequence}.",
        "meta": {"check": expectation.name, "kind": expectation.kind},
        "severity": "critical" if expectation.is_blocking else "warning",
    }
    if expectation.gx_type in CLASSES:
        return CLASSES[expectation.gx_type](
            observes=expectation.gx_type, arguments=dict(expectation.arguments), column=expectation.column, **words
        )
    name = "".join(part.title() for part in expectation.gx_type.split("_"))
    return getattr(core, name)(**_stored_arguments(expectation, frame), **words)


def _stored_arguments(expectation: Expectation, frame: pd.DataFrame) -> dict[str, Any]:
    """The arguments in the Python types that the table's column holds: dates, or categories as numbers or text."""
    arguments: dict[str, Any] = dict(expectation.arguments)
    if expectation.column not in frame.columns:
        return arguments
    values = cast("pd.Series", frame[expectation.column])
    if expectation.gx_type == types.BETWEEN and is_temporal(values):
        holds_dates = {type(value) for value in values.dropna().head(1)} == {date}
        for key in ("min_value", "max_value"):
            moment = datetime.fromisoformat(arguments[key])
            arguments[key] = moment.date() if holds_dates else moment
    if expectation.gx_type == types.IN_SET:
        stored = {category_key(value): value for value in pd.Index(values.dropna().unique()).tolist()}
        arguments["value_set"] = [stored.get(category_key(value), value) for value in arguments["value_set"]]
    return arguments


def _outcomes(expectations: tuple[Expectation, ...], result: "ExpectationSuiteValidationResult") -> tuple[Outcome, ...]:
    found = {(item.expectation_config.meta or {})["check"]: item for item in result.results if item.expectation_config}
    return tuple(_outcome(expectation, found[expectation.name]) for expectation in expectations)


def _outcome(expectation: Expectation, found: "ExpectationValidationResult") -> Outcome:
    """Our outcome of a Great Expectations result; one that could not be evaluated has failed."""
    result: Mapping[str, Any] = found.result or {}
    observed: dict[str, float | int]
    if not result:
        observed = {"errors": 1}
    elif "details" in result and expectation.gx_type != types.COLUMNS:
        observed = dict(result["details"])
    elif expectation.gx_type == types.COLUMNS:
        observed = {"columns": len(result["observed_value"])}
    elif expectation.gx_type in _OBSERVED:
        observed = {_OBSERVED[expectation.gx_type]: result["observed_value"]}
    else:
        observed = {"violations": result["unexpected_count"]}
    return Outcome(expectation, bool(found.success), {name: _number(value) for name, value in observed.items()})


def _number(value: Any) -> float | int:
    """A plain number; of a float32 column Great Expectations finds a float32, which is no JSON."""
    return value.item() if hasattr(value, "item") else value


def _plain(name: str) -> str:
    """A name that is safe as a folder's."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name) or "run"
