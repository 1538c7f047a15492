"""The whole specification of a dataset (design 5.1): one YAML file states every public fact and every choice.

The same model is read by the Dagster component (`defs/<dataset>/defs.yaml`, under `attributes`) and by the command line (the
attributes alone). `Spec.from_yaml` reads either. Everything is frozen; unknown keys are refused.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from synth_pipeline.errors import SpecError
from synth_pipeline.spec.privacy import Privacy
from synth_pipeline.spec.reading import fault_line, read_yaml
from synth_pipeline.spec.section import Section
from synth_pipeline.spec.sections import (
    Benchmark,
    Drift,
    Fairness,
    GeneratorSpec,
    Implication,
    ReleaseSpec,
    Source,
    Validation,
)
from synth_pipeline.table.column import (
    Column,
    DatetimeColumn,
    FloatColumn,
    IdentifierColumn,
    IntegerColumn,
    ModelledColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.person import PERSON_ROWS

_MOST_FAULTS = 12


def _match_or_count(value: int | Literal["match"]) -> int | Literal["match"]:
    if isinstance(value, int) and value < 1:
        raise ValueError("rows must be `match` or a number of at least 1")
    return value


class Spec(Section):
    """Everything public about a dataset and every choice of its owner.

    Example:
        >>> spec = Spec.from_mapping({"dataset": "d", "columns": {"x": {"kind": "boolean"}}, "privacy": {"epsilon": 1}})
        >>> spec.privacy.delta
        1e-06
    """

    dataset: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,62}$", description="Name of the dataset: lower case, digits, underscores."
    )
    source: Source | None = Field(default=None, description="Where snapshots arrive; not needed by `fit`.")
    columns: dict[str, Column] = Field(
        min_length=1, description="Every column of the table, in any order; a public schema."
    )
    privacy: Privacy = Field(description="The guarantee that every walk keeps.")
    generator: GeneratorSpec = Field(default=GeneratorSpec(), description="The engine that learns from the table.")
    holdout: float = Field(
        default=0.2, gt=0, lt=0.9, description="Share of people kept for evaluation, never seen by the generator."
    )
    rows: Annotated[int | Literal["match"], AfterValidator(_match_or_count)] = Field(
        default="match",
        description="Rows of the synthetic table: `match` (the noisy row count of the real one) or a number.",
    )
    constraints: tuple[str | Implication, ...] = Field(
        default=(), description="Rules in SQL boolean form that every released row obeys."
    )
    benchmark: Benchmark | None = Field(
        default=None, description="Prediction task of the benchmark; null: fidelity only."
    )
    validation: Validation = Field(
        default=Validation(), description="Severity of the expectations on the synthetic table."
    )
    fairness: Fairness | None = Field(default=None, description="Groups for which the benchmark is reported apart.")
    drift: Drift | None = Field(default=None, description="Private drift detection.")
    schedule: str | None = Field(
        default=None,
        description="Cron line on which the newest snapshot is walked, if it was not yet; null: each one is walked as it arrives.",
    )
    release: ReleaseSpec = Field(default=ReleaseSpec(), description="What it takes for a release to count.")

    @model_validator(mode="after")
    def _names_agree(self) -> "Spec":
        if not self.modelled:
            raise ValueError("columns: every column is an identifier; there is nothing to model")
        if PERSON_ROWS in self.columns:
            raise ValueError(f"columns: {PERSON_ROWS!r} is the name of an internal column; give this one another name")
        unit = self.privacy.unit.column
        if unit is not None and not isinstance(self.columns.get(unit), IdentifierColumn):
            raise ValueError(f"privacy.unit.column: {unit!r} must be declared under columns with kind: identifier")
        wanted = {"benchmark.target": [self.benchmark.target] if self.benchmark else []}
        wanted |= {f"columns.{name}.determined_by": [parent] for name, parent in self.determined.items()}
        wanted["fairness.sensitive"] = list(self.fairness.sensitive) if self.fairness else []
        wanted["drift.ignore"] = list(self.drift.ignore) if self.drift else []
        for key, names in wanted.items():
            for name in names:
                if name not in self.modelled:
                    raise ValueError(f"{key}: no modelled column {name!r}; there are {', '.join(self.modelled)}")
        for name, parent in self.determined.items():
            above, last = [parent], parent
            while last != name and last in self.determined and self.determined[last] not in above:
                last = self.determined[last]
                above.append(last)
            if last == name:
                others = " and ".join(repr(column) for column in above)
                fault = (
                    "determines itself; leave it out"
                    if len(above) == 1
                    else "determine each other; leave one of them out"
                )
                raise ValueError(f"columns.{name}.determined_by: {others} {fault}")
        return self

    @model_validator(mode="after")
    def _floors_are_measured(self) -> "Spec":
        published = None if self.benchmark is None else self.benchmark.publish
        if published is not None and published.epsilon > 0.5 * self.privacy.epsilon:
            raise ValueError(
                f"benchmark.publish.epsilon ({published.epsilon:g}) is part of privacy.epsilon"
                f" ({self.privacy.epsilon:g}); at most half of it"
            )
        if self.release.approval == "auto" and (published is None or self.release.floors is None):
            raise ValueError(
                "release.approval: auto decides by a score that was measured under DP; add benchmark.publish and release.floors,"
                " or use manual"
            )
        if self.release.approval != "auto" and self.release.approval_days is not None:
            raise ValueError(
                "release.approval_days: goes with release.approval: auto; who approves as a person gives the last day himself"
                " (--expires); leave it out"
            )
        return self

    @model_validator(mode="after")
    def _groups_can_be_told_apart(self) -> "Spec":
        if self.fairness is None or not self.fairness.sensitive:
            return self
        if self.benchmark is None or self.benchmark.task != "classification":
            raise ValueError(
                "fairness.sensitive: goes with a benchmark of task classification; add benchmark.target, or leave it out"
            )
        for name in self.fairness.sensitive:
            kind = self.modelled[name].kind
            if name == self.benchmark.target:
                raise ValueError(
                    f"fairness.sensitive: {name!r} is the benchmark's target; name the groups, not the class"
                )
            if kind == "datetime":
                raise ValueError(f"fairness.sensitive: {name!r} is a datetime, which makes no groups; leave it out")
            if kind in ("integer", "float") and name not in self.fairness.bins:
                raise ValueError(
                    f"fairness.bins: {name!r} is a number; give the values that part its groups: {{{name}: [30, 50]}}"
                )
            if kind not in ("integer", "float") and name in self.fairness.bins:
                raise ValueError(
                    f"fairness.bins: {name!r} is {kind}, whose categories are its groups; leave its bins out"
                )
        self._favourable_can_occur(self.fairness, self.benchmark)
        return self

    def _favourable_can_occur(self, fairness: Fairness, benchmark: Benchmark) -> None:
        column = self.modelled[benchmark.target]
        if fairness.favourable is None or isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            return
        known = [category_key(category) for category in declared_categories(column)]
        if known and category_key(fairness.favourable) not in known:
            raise ValueError(
                f"fairness.favourable: {fairness.favourable!r} is no class of {benchmark.target!r}; there are {', '.join(known)}"
            )

    @model_validator(mode="after")
    def _drift_leaves_a_budget(self) -> "Spec":
        if self.drift is None:
            return self
        if self.drift.mode == "schedule":
            if self.drift.on_drift in ("reuse", "resample"):
                raise ValueError(
                    f"drift.on_drift: {self.drift.on_drift} would never look at another snapshot in mode schedule; use refresh or refit"
                )
            return self
        if self.drift.epsilon > 0.5 * self.privacy.epsilon:
            raise ValueError(
                f"drift.epsilon ({self.drift.epsilon:g}) is part of privacy.epsilon ({self.privacy.epsilon:g}); at most half of it"
            )
        if self.drift.mode == "sparse_vector" and self.privacy.cohorts.by == "disjoint":
            raise ValueError(
                "drift.mode: sparse_vector saves budget where the same people are in many snapshots; with disjoint cohorts use test"
            )
        return self

    @property
    def determined(self) -> dict[str, str]:
        """The columns that are declared to be functions of another one, and that other column."""
        return {
            name: column.determined_by for name, column in self.modelled.items() if column.determined_by is not None
        }

    @property
    def modelled(self) -> dict[str, ModelledColumn]:
        """The columns that a generator models: all but the identifiers."""
        return {name: column for name, column in self.columns.items() if not isinstance(column, IdentifierColumn)}

    @property
    def identifiers(self) -> dict[str, IdentifierColumn]:
        """The columns that are never read and invented for the synthetic table."""
        return {name: column for name, column in self.columns.items() if isinstance(column, IdentifierColumn)}

    @property
    def rules(self) -> tuple[str, ...]:
        """Every constraint as one SQL boolean expression; an implication becomes `NOT (if) OR (then)`."""
        return tuple(
            rule if isinstance(rule, str) else f"NOT ({rule.condition}) OR ({rule.consequence})"
            for rule in self.constraints
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the specification."""
        canonical = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def learnt_digest(self) -> str:
        """SHA-256 of what a generator is made by: columns, whose privacy, engine, target. Releases that differ in it are not compared.

        Notes on columns and the publishing of a score are left out: they teach a generator nothing. (Descriptions and units are in, as in
        digests that are stored.)
        """
        content = self.model_dump(mode="json", by_alias=True, include={"columns", "generator", "benchmark"})
        for column in content["columns"].values():
            column.pop("notes", None)
        if content["benchmark"] is not None:
            content["benchmark"].pop("publish", None)
        content["unit"] = self.privacy.unit.model_dump(mode="json")
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The specification as YAML that `from_yaml` reads back to an equal one."""
        content = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, column in self.columns.items():
            content["columns"][name]["kind"] = column.kind
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    def with_privacy(self, *, epsilon: float | None = None, delta: float | None = None) -> "Spec":
        """The same specification at another ε or δ, checked again.

        Raises:
            SpecError: if the new values are not allowed (for example an ε above the cap).
        """
        content = self.model_dump(mode="json", by_alias=True)
        if epsilon is not None:
            content["privacy"]["epsilon"] = epsilon
        if delta is not None:
            content["privacy"]["delta"] = delta
        return Spec.from_mapping(content)

    def with_generator(self, kind: str) -> "Spec":
        """The same specification with another kind of generator, checked again."""
        return Spec.from_mapping({**self.model_dump(mode="json", by_alias=True), "generator": {"kind": kind}})

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], *, where: str = "spec") -> "Spec":
        """A specification from plain data.

        Raises:
            SpecError: one line that names every fault (the first dozen of many), where it is and what is allowed.
        """
        try:
            return cls.model_validate(dict(content))
        except ValidationError as error:
            faults = [fault_line(item) for item in error.errors()]
            faults.sort(key=lambda line: line.startswith("columns."))  # those of columns may be many
            more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
            raise SpecError(f"{where}: " + "; ".join([*faults[:_MOST_FAULTS], *more])) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Spec":
        """A specification from a spec file, or from the `attributes` of a component's defs.yaml.

        A relative `source.uri` is taken as relative to the file.

        Raises:
            SpecError: if the file cannot be read, is not YAML, or is not a valid specification.
        """
        content = read_yaml(Path(path))
        if "attributes" in content and "type" in content:
            content = content["attributes"]
        spec = cls.from_mapping(content, where=str(path))
        return spec.with_source_relative_to(Path(path).parent)

    def in_order(self, names: Iterable[str]) -> "Spec":
        """The same specification (and digest) with its columns in the order of a table."""
        return self.model_copy(update={"columns": {name: self.columns[name] for name in names}})

    def with_source_relative_to(self, folder: Path) -> "Spec":
        """The same specification with a relative `source.uri` resolved against a folder."""
        if self.source is None or self.source.scheme != "file" or Path(self.source.uri).is_absolute():
            return self
        return self.model_copy(
            update={"source": self.source.model_copy(update={"uri": str((folder / self.source.uri).resolve())})}
        )


def json_schema() -> dict[str, Any]:
    """JSON Schema of the specification, with every field described."""
    return Spec.model_json_schema(by_alias=True)
