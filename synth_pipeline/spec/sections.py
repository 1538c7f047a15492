"""The sections that steer stages: where snapshots lie, which engine, which task, which checks, what a release takes."""

from typing import Literal, TypeAlias

from pydantic import ConfigDict, Field

from synth_pipeline.spec.section import Section

GeneratorKind: TypeAlias = Literal[
    "auto", "maxent", "mixture", "aim", "mst", "privbayes", "copula", "independent",
    "autoregressive", "vae", "gan", "diffusion", "pate_gan", "hybrid",
]  # fmt: skip
Severity: TypeAlias = Literal["block", "warn"]


class Source(Section):
    """Where fresh snapshots of the real table arrive."""

    uri: str = Field(description="Folder of the snapshots: a local path (relative to the file that declares it).")
    format: Literal["parquet", "csv"] = Field(default="parquet", description="File format of the snapshots.")
    pattern: str = Field(default="*.parquet", description="Which files of the folder are snapshots (shell pattern).")


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
    """Private comparison of a fresh snapshot with the released profile."""

    epsilon: float = Field(gt=0, description="ε of one drift report.")
    on_drift: Literal["reuse", "resample", "refresh", "refit"] = Field(
        default="refit", description="What happens when drift is found."
    )


class ReleaseSpec(Section):
    """How a release comes about."""

    approval: Literal["manual", "auto"] = Field(
        default="manual", description="`manual`: a release is a candidate until approved."
    )


class Validation(Section):
    """Which failed expectations stop a release."""

    severity: dict[Literal["schema", "domain", "nulls", "constraints", "fidelity"], Severity] = Field(
        default={},
        description="Severity by kind of expectation; default: all `block`, but for `fidelity`, which warns.",
    )
