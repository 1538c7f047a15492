"""The specification of a dataset (design 5.1): one YAML file states every public fact and every choice.

The same model is read by the Dagster component (`defs/<dataset>/defs.yaml`, under `attributes`) and by the command line (the
attributes alone). `Spec.from_yaml` reads either. Everything is frozen; unknown keys are refused.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from synth_pipeline.errors import SpecError
from synth_pipeline.table.column import Column, IdentifierColumn, ModelledColumn

GeneratorKind: TypeAlias = Literal[
    "auto", "maxent", "mixture", "aim", "mst", "privbayes", "copula", "independent",
    "autoregressive", "vae", "gan", "diffusion", "pate_gan", "hybrid",
]  # fmt: skip
Severity: TypeAlias = Literal["block", "warn"]


class _Section(BaseModel):
    """What every section of a specification shares."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Section):
    """Where fresh snapshots of the real table arrive."""

    uri: str = Field(description="Folder of the snapshots: a local path (relative to the file that declares it).")
    format: Literal["parquet", "csv"] = Field(default="parquet", description="File format of the snapshots.")
    pattern: str = Field(default="*.parquet", description="Which files of the folder are snapshots (shell pattern).")


class Unit(_Section):
    """Whose privacy is protected."""

    column: str | None = Field(
        default=None, description="Column that names the person a row belongs to; null: each row is a person."
    )
    max_rows: int = Field(
        default=1, ge=1, le=1000, description="Rows kept of each person (a keyed random choice); more are dropped."
    )

    @model_validator(mode="after")
    def _rows_need_a_column(self) -> "Unit":
        if self.column is None and self.max_rows != 1:
            raise ValueError("max_rows above 1 needs `column`: without it each row is one person")
        return self


class CapSpec(_Section):
    """What the ledger lets be spent on the same people, over all releases together."""

    epsilon: float = Field(
        default=10.0, gt=0, le=1_000_000, description="Composed ε (at the cap's δ) that no charge may pass."
    )
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="δ at which the cap's ε is composed; default: privacy.delta."
    )
    period: str | None = Field(default=None, description="Calendar period after which the cap renews; null: never.")


class Cohorts(_Section):
    """How the people of different snapshots relate."""

    by: Literal["disjoint"] | None = Field(
        default=None,
        description="`disjoint`: each person is in one snapshot only, so snapshots compose in parallel; null: they overlap.",
    )


class Privacy(_Section):
    """The guarantee: ε, δ, whose privacy, and the cap over time."""

    epsilon: float = Field(
        gt=0, le=100, allow_inf_nan=False, description="ε of one full walk: profile + generator; nothing outside it."
    )
    delta: float = Field(
        default=1e-6, gt=0, lt=0.01, description="δ of one full walk; well below 1 / number of people."
    )
    unit: Unit = Field(default=Unit(), description="The privacy unit: a row, or a person with several rows.")
    cap: CapSpec = Field(default=CapSpec(), description="Cap over all releases.")
    cohorts: Cohorts = Field(default=Cohorts(), description="Whether snapshots hold the same people.")

    @model_validator(mode="after")
    def _walk_fits_cap(self) -> "Privacy":
        if self.cap.epsilon < self.epsilon:
            raise ValueError(
                f"cap.epsilon ({self.cap.epsilon:g}) is below epsilon ({self.epsilon:g}): no walk could ever run"
            )
        if self.cap_delta < self.delta:
            raise ValueError(f"cap.delta ({self.cap_delta:g}) is below delta ({self.delta:g}): no walk could ever run")
        return self

    @property
    def cap_delta(self) -> float:
        """δ of the cap."""
        return self.cap.delta if self.cap.delta is not None else self.delta


class GeneratorSpec(_Section):
    """Which generator is trained."""

    kind: GeneratorKind = Field(default="auto", description="Kind of generator; `auto` chooses from public facts only.")


class Implication(_Section):
    """A rule of two SQL conditions: where `if` holds, `then` must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    condition: str = Field(alias="if", description="SQL condition.")
    consequence: str = Field(alias="then", description="SQL condition that must hold where `if` does.")


class Benchmark(_Section):
    """The prediction task of the train-on-synthetic-test-on-real benchmark."""

    target: str = Field(
        description="Column to predict; a public choice. The generator may spend more of its budget on it."
    )
    task: Literal["classification", "regression"] = Field(
        default="classification", description="Kind of prediction task."
    )


class Fairness(_Section):
    """Groups for which the benchmark is reported apart."""

    sensitive: tuple[str, ...] = Field(default=(), description="Columns that define the groups.")


class Drift(_Section):
    """Private comparison of a fresh snapshot with the released profile."""

    epsilon: float = Field(gt=0, description="ε of one drift report.")
    on_drift: Literal["reuse", "resample", "refresh", "refit"] = Field(
        default="refit", description="What happens when drift is found."
    )


class ReleaseSpec(_Section):
    """How a release comes about."""

    approval: Literal["manual", "auto"] = Field(
        default="manual", description="`manual`: a release is a candidate until approved."
    )


class Validation(_Section):
    """Which failed expectations stop a release."""

    severity: dict[Literal["schema", "domain", "nulls", "constraints", "fidelity"], Severity] = Field(
        default={},
        description="Severity by kind of expectation; default: all `block`, but for `fidelity`, which warns.",
    )


def _public_epsilon(value: int | Literal["match"]) -> int | Literal["match"]:
    if isinstance(value, int) and value < 1:
        raise ValueError("rows must be `match` or a number of at least 1")
    return value


class Spec(_Section):
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
    rows: Annotated[int | Literal["match"], AfterValidator(_public_epsilon)] = Field(
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
        default=None, description="Cron line on which the newest snapshot is walked; null: by sensor only."
    )
    release: ReleaseSpec = Field(default=ReleaseSpec(), description="What it takes for a release to count.")

    @model_validator(mode="after")
    def _names_agree(self) -> "Spec":
        if not self.modelled:
            raise ValueError("columns: every column is an identifier; there is nothing to model")
        unit = self.privacy.unit.column
        if unit is not None and not isinstance(self.columns.get(unit), IdentifierColumn):
            raise ValueError(f"privacy.unit.column: {unit!r} must be declared under columns with kind: identifier")
        wanted = {"benchmark.target": [self.benchmark.target] if self.benchmark else []}
        wanted |= {f"columns.{name}.determined_by": [parent] for name, parent in self.determined.items()}
        wanted["fairness.sensitive"] = list(self.fairness.sensitive) if self.fairness else []
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
    def _only_what_is_built(self) -> "Spec":
        for key, is_asked, remedy in (
            ("drift", self.drift is not None, "leave the section out"),
            ("fairness", self.fairness is not None, "leave the section out"),
            ("privacy.cap.period", self.privacy.cap.period is not None, "use null"),
            ("release.approval: auto", self.release.approval == "auto", "use manual"),
            ("source.uri with a scheme", self.source is not None and "://" in self.source.uri, "use a local folder"),
        ):
            if is_asked:
                raise ValueError(f"{key}: not built yet; {remedy}")
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
            SpecError: one line that names every fault, where it is and what is allowed.
        """
        try:
            return cls.model_validate(dict(content))
        except ValidationError as error:
            raise SpecError(f"{where}: " + "; ".join(_fault(item) for item in error.errors())) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Spec":
        """A specification from a spec file, or from the `attributes` of a component's defs.yaml.

        A relative `source.uri` is taken as relative to the file.

        Raises:
            SpecError: if the file cannot be read, is not YAML, or is not a valid specification.
        """
        content = _read_yaml(Path(path))
        if "attributes" in content and "type" in content:
            content = content["attributes"]
        spec = cls.from_mapping(content, where=str(path))
        return spec.with_source_relative_to(Path(path).parent)

    def in_order(self, names: Iterable[str]) -> "Spec":
        """The same specification (and digest) with its columns in the order of a table."""
        return self.model_copy(update={"columns": {name: self.columns[name] for name in names}})

    def with_source_relative_to(self, folder: Path) -> "Spec":
        """The same specification with a relative `source.uri` resolved against a folder."""
        if self.source is None or Path(self.source.uri).is_absolute():
            return self
        return self.model_copy(
            update={"source": self.source.model_copy(update={"uri": str((folder / self.source.uri).resolve())})}
        )


def json_schema() -> dict[str, Any]:
    """JSON Schema of the specification, with every field described."""
    return Spec.model_json_schema(by_alias=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; give the path of a spec file (see `synth-pipeline init`)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{path}: cannot be read ({type(error).__name__}); give the path of a UTF-8 YAML file"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise SpecError(f"{path}{line}: not valid YAML; check indentation, brackets and quotes there") from None
    if not isinstance(content, dict):
        raise SpecError(f"{path}: holds no mapping; a spec starts with `dataset: NAME` (see `synth-pipeline schema`)")
    return _plain_dates(content)  # pyright: ignore[reportUnknownArgumentType]


def _plain_dates(content: dict[Any, Any]) -> dict[str, Any]:
    """YAML reads bare dates as dates; category lists want them as text, and pydantic reads text as dates."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(value, list):
            return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return value.isoformat() if isinstance(value, date) else value

    return plain(content)


def _fault(item: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "unknown key; see `synth-pipeline schema` for the keys allowed here"
    elif item["type"] == "missing":
        message = "missing; add this key"
    elif item["type"] == "union_tag_invalid":
        message = f"unknown kind; use one of {item['ctx']['expected_tags']}"
    elif item["type"] == "union_tag_not_found":
        message = "missing key `kind`"
    else:
        is_scalar = isinstance(item["input"], (str, int, float)) and not isinstance(item["input"], bool)
        message = message[0].lower() + message[1:] + (f" (got {item['input']!r})" if is_scalar else "")
    return f"{place}: {message}" if place else message
