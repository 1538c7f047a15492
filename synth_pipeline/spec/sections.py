"""The sections that steer stages: where snapshots lie, which engine, which task, which checks, what a release takes."""

import datetime as dt
import re
from typing import Literal, TypeAlias

from pydantic import ConfigDict, Field, field_validator, model_validator

from synth_pipeline.spec.section import Section

GeneratorKind: TypeAlias = Literal[
    "auto", "maxent", "mixture", "aim", "mst", "privbayes", "copula", "independent",
    "autoregressive", "vae", "gan", "diffusion", "pate_gan", "hybrid",
]  # fmt: skip
Severity: TypeAlias = Literal["block", "warn"]


class Source(Section):
    """Where fresh snapshots of the real table arrive.

    Credentials are never written here: S3 takes them as boto3 does (environment, profile, role), PostgreSQL as libpq does.
    """

    uri: str = Field(
        description="Where snapshots arrive: a local folder (relative to the file that declares it), s3://bucket/prefix, or"
        " postgresql://user@host:port/database."
    )
    format: Literal["parquet", "csv"] = Field(
        default="parquet", description="File format of the snapshots; of no matter to a database."
    )
    pattern: str = Field(
        default="*.parquet", description="Which files below the folder or prefix are snapshots (shell pattern)."
    )
    endpoint: str | None = Field(
        default=None, description="S3: address of an S3-compatible store, such as http://127.0.0.1:9000; null: AWS."
    )
    query: str | None = Field(
        default=None, description="PostgreSQL: the query whose rows are a snapshot; it may use %(since)s and %(until)s."
    )
    watermark: str | None = Field(
        default=None,
        description="PostgreSQL: query of one value that grows when a new snapshot is there, such as the number of the last load.",
    )

    @property
    def scheme(self) -> Literal["file", "s3", "postgresql"]:
        """Kind of the source."""
        if self.uri.startswith("s3://"):
            return "s3"
        return "postgresql" if self.uri.startswith(("postgresql://", "postgres://")) else "file"

    @model_validator(mode="after")
    def _parts_fit_the_scheme(self) -> "Source":
        if "://" in self.uri and self.scheme == "file":
            found = self.uri.partition("://")[0]
            raise ValueError(f"uri: {found}:// is not supported; use a local folder, s3:// or postgresql://")
        if self.scheme == "postgresql" and (self.query is None or self.watermark is None):
            raise ValueError("a postgresql:// source needs `query` (the rows) and `watermark` (what tells of new ones)")
        if self.scheme != "postgresql" and (self.query is not None or self.watermark is not None):
            raise ValueError("`query` and `watermark` go with a postgresql:// source; leave them out")
        if self.scheme != "s3" and self.endpoint is not None:
            raise ValueError("`endpoint` goes with an s3:// source; leave it out")
        if "@" in self.uri and ":" in self.uri.partition("://")[2].rpartition("@")[0]:
            raise ValueError(
                "uri: holds a password; leave it out and set it in the environment (PGPASSWORD, or ~/.pgpass)"
            )
        return self


class GeneratorSpec(Section):
    """Which generator is trained."""

    kind: GeneratorKind = Field(default="auto", description="Kind of generator; `auto` chooses from public facts only.")


class Implication(Section):
    """A rule of two SQL conditions: where `if` holds, `then` must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    condition: str = Field(alias="if", description="SQL condition.")
    consequence: str = Field(alias="then", description="SQL condition that must hold where `if` does.")


class Benchmark(Section):
    """The prediction task of the train-on-synthetic-test-on-real benchmark."""

    target: str = Field(
        description="Column to predict; a public choice. The generator may spend more of its budget on it."
    )
    task: Literal["classification", "regression"] = Field(
        default="classification", description="Kind of prediction task."
    )


class Fairness(Section):
    """Groups for which the benchmark is reported apart."""

    sensitive: tuple[str, ...] = Field(default=(), description="Columns that define the groups.")


class Drift(Section):
    """Private comparison of a fresh snapshot with the released profile, and what follows from it."""

    epsilon: float = Field(
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="ε of one drift report; a part of privacy.epsilon, not beside it.",
    )
    on_drift: Literal["reuse", "resample", "refresh", "refit"] = Field(
        default="refit",
        description="What happens when drift is found: refit trains anew; refresh keeps the old noisy tables as a prior and spends"
        " refresh_share of ε on what changed; resample draws new rows from the old generator; reuse only reports.",
    )
    mode: Literal["test", "sparse_vector", "schedule"] = Field(
        default="test",
        description="test: every snapshot is tested at `epsilon`; sparse_vector: one `epsilon` pays for all snapshots up to the first"
        " alarm; schedule: nothing is tested, and every snapshot is treated as `on_drift` says.",
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="Chance of a false alarm of one report over all its tests together."
    )
    pairs: int = Field(
        default=8,
        ge=0,
        le=200,
        description="Released pairs of columns that are tested beside the columns; a public number.",
    )
    ignore: tuple[str, ...] = Field(
        default=(),
        description="Columns that are expected to move, such as the year: they raise no alarm, and a refresh always measures them anew.",
    )
    refresh_share: float = Field(default=0.5, gt=0, le=1, description="Share of the walk's ε that a refresh spends.")


_AGE_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _parse_age(text: str) -> dt.timedelta:
    found = re.fullmatch(r"\s*([1-9]\d{0,5})\s*(m(in(utes?)?)?|h(ours?)?|d(ays?)?|w(eeks?)?)\s*", text)
    if found is None:
        raise ValueError(
            f"{text!r} is no length of time; write a whole number and minutes, hours, days or weeks, such as 30 days"
        )
    return dt.timedelta(seconds=int(found[1]) * _AGE_SECONDS[found[2][0]])


class ReleaseSpec(Section):
    """How a release comes about."""

    approval: Literal["manual", "auto"] = Field(
        default="manual", description="`manual`: a release is a candidate until approved."
    )
    max_age: str | None = Field(
        default=None,
        description="How old the newest release may grow before Dagster says that it is overdue, such as `36 hours`, `30 days` or"
        " `6 weeks`; at least 2 minutes; null: any age.",
    )

    @field_validator("max_age")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None and _parse_age(value) < dt.timedelta(minutes=2):
            raise ValueError(f"max_age: {value!r} is shorter than 2 minutes")
        return value

    @property
    def max_age_window(self) -> dt.timedelta | None:
        """`max_age` as a length of time."""
        return None if self.max_age is None else _parse_age(self.max_age)


class Validation(Section):
    """Which failed expectations stop a release."""

    severity: dict[Literal["schema", "domain", "nulls", "constraints", "fidelity"], Severity] = Field(
        default={},
        description="Severity by kind of expectation; default: all `block`, but for `fidelity`, which warns.",
    )
