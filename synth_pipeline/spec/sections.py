"""The sections that steer stages: where snapshots lie, which engine, which task, which checks, what a release takes."""

import datetime as dt
import math
import re
from itertools import pairwise
from typing import Literal, TypeAlias

from pydantic import ConfigDict, Field, field_validator, model_validator

from synth_pipeline.spec.publication import Publication
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


class PublishedScoreSpec(Section):
    """A score on held-out people that is measured under DP, so that it may be shown and decided by."""

    epsilon: float = Field(
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="ε of the score; a part of privacy.epsilon, not beside it; at most half of it.",
    )


class Benchmark(Section):
    """The prediction task of the train-on-synthetic-test-on-real benchmark."""

    target: str = Field(
        description="Column to predict; a public choice. The generator may spend more of its budget on it."
    )
    task: Literal["classification", "regression"] = Field(
        default="classification", description="Kind of prediction task."
    )
    publish: PublishedScoreSpec | None = Field(
        default=None,
        exclude_if=lambda publish: publish is None,  # specifications without keep the digest that they had
        description="Accuracy on held-out people of a classifier trained on the synthetic table, measured under DP and stated in the"
        " certificate; null: every score on real rows stays internal.",
    )

    @model_validator(mode="after")
    def _publishes_a_share(self) -> "Benchmark":
        if self.publish is not None and self.task != "classification":
            raise ValueError("publish: goes with task: classification, whose score is a count of people; leave it out")
        return self


class Fairness(Section):
    """Groups for which the benchmark is reported apart.

    Example:
        >>> Fairness(sensitive=("age",), bins={"age": (30, 50)}).bin_names("age")
        ('under 30', '30 to under 50', '50 and over')
    """

    sensitive: tuple[str, ...] = Field(
        default=(), description="Columns that define the groups: each by itself, and all of them together."
    )
    favourable: str | int | float | bool | None = Field(
        default=None, description="The class of benchmark.target that counts as being selected; null: its rarest class."
    )
    bins: dict[str, tuple[float, ...]] = Field(
        default={},
        description="For each sensitive column that is a number, the public values, in its unit, at which one group ends and the next"
        " begins, ascending: {age: [30, 50]} makes under 30, 30 to under 50, 50 and over.",
    )

    @model_validator(mode="after")
    def _bins_ascend(self) -> "Fairness":
        for name, cuts in self.bins.items():
            if not cuts or list(cuts) != sorted(set(cuts)) or not all(math.isfinite(cut) for cut in cuts):
                raise ValueError(f"bins.{name}: give finite values in ascending order, such as [30, 50]")
            if name not in self.sensitive:
                raise ValueError(f"bins.{name}: is not among `sensitive`; name it there, or leave its bins out")
        return self

    def bin_names(self, name: str) -> tuple[str, ...]:
        """The groups of a number, lowest first, for people."""
        cuts = [f"{cut:g}" for cut in self.bins[name]]
        between = (f"{low} to under {high}" for low, high in pairwise(cuts))
        return (f"under {cuts[0]}", *between, f"{cuts[-1]} and over")


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


class Floors(Section):
    """What a release must reach to be approved without a person; only what was measured under DP decides."""

    accuracy: float = Field(
        gt=0,
        lt=1,
        description="Least accuracy of `benchmark.publish`: the lower end of its 95 % interval, noise included, must reach it.",
    )


class ReleaseSpec(Section):
    """How a release comes about."""

    approval: Literal["manual", "auto"] = Field(
        default="manual",
        description="`manual`: a release is a candidate until a second person approves it; `auto`: the installation's own approver key"
        " signs where every check, the audit and the `floors` hold, else it stays a candidate.",
    )
    approvers: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda approvers: not approvers,  # specifications without keep the digest that they had
        description="Ids of the keys that may approve a release, as `synth-pipeline keys show` prints them; empty: every key but the one"
        " that signed it.",
    )
    floors: Floors | None = Field(
        default=None,
        exclude_if=lambda floors: floors is None,  # specifications without keep the digest that they had
        description="What `approval: auto` asks of the published score.",
    )
    approval_days: int | None = Field(
        default=None,
        ge=1,
        le=3650,
        exclude_if=lambda days: days is None,  # specifications without keep the digest that they had
        description="How many days an approval by `approval: auto` holds after the one on which it was signed (UTC); null: until it is"
        " withdrawn.",
    )
    publication: Publication | None = Field(
        default=None,
        exclude_if=lambda publication: publication is None,
        description="Publisher, contact, licence and intended use, for the cards of a release; null: none is stated.",
    )
    max_age: str | None = Field(
        default=None,
        description="How old the newest release may grow before Dagster says that it is overdue, such as `36 hours`, `30 days` or"
        " `6 weeks`; at least 2 minutes; null: any age.",
    )

    @field_validator("approvers")
    @classmethod
    def _are_key_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in value if re.fullmatch(r"[0-9a-f]{32}", name) is None]
        if wrong:
            raise ValueError(f"approvers: {', '.join(wrong)}: a key id is 32 hexadecimal digits, in small letters")
        if len(set(value)) != len(value):
            raise ValueError("approvers: a key is named twice; name each once")
        return value

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
