"""Declared column kinds: the public facts about a column that a specification states (design 5.1)."""

from datetime import date, datetime, time
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Category: TypeAlias = str | int | float
Outside: TypeAlias = Literal["refuse", "clip"]

MAX_CATEGORIES = 10_000
MOST_STEPS = 2**61
"""Steps of a numeric column on either side of 0: cells are whole numbers of 64 bits."""


class _Declared(BaseModel):
    """What every column declaration shares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str | None = Field(default=None, description="Meaning of the column, for readers of the release.")
    unit: str | None = Field(default=None, description="Unit of measure, for readers of the release.")
    notes: str | None = Field(
        default=None,
        exclude_if=lambda notes: (
            notes is None
        ),  # a specification without notes keeps the digest that it had before there were any
        description="What else readers of the release should know, such as how the column was recorded or what it does not mean; public.",
    )


class _Bounded(_Declared):
    """A column whose values may fall outside what is declared."""

    nullable: bool = Field(default=False, description="Whether the column may hold nulls; a public fact.")
    determined_by: str | None = Field(
        default=None,
        description="Another column of which this one is a function (a code of which this is the group); a public fact. Engines that can"
        " use it draw one of the two from the other.",
    )
    on_outside: Outside = Field(
        default="refuse",
        description="What happens to values outside the declared domain: `refuse` the snapshot, or `clip` (numbers to the nearest"
        " bound, categories to null). Clipped values are counted in the private zone only.",
    )


class IntegerColumn(_Bounded):
    """Whole numbers between two public bounds."""

    kind: Literal["integer"] = "integer"
    min: int = Field(description="Smallest possible value, in the column's unit; public.")
    max: int = Field(description="Largest possible value, in the column's unit; public.")

    @model_validator(mode="after")
    def _ordered(self) -> "IntegerColumn":
        if self.min >= self.max:
            raise ValueError(f"min ({self.min}) must be below max ({self.max})")
        _require_steps(max(abs(self.min), abs(self.max)), decimals=0)
        return self


class FloatColumn(_Bounded):
    """Real numbers between two public bounds, on a decimal grid."""

    kind: Literal["float"] = "float"
    min: float = Field(description="Smallest possible value, in the column's unit; public.", allow_inf_nan=False)
    max: float = Field(description="Largest possible value, in the column's unit; public.", allow_inf_nan=False)
    precision: int | None = Field(
        default=None,
        ge=0,
        le=12,
        description="Decimals of the values; without it a public grid of 15 significant digits is used, and the decimals that the values"
        " keep to are released under DP with the profile.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "FloatColumn":
        if self.min >= self.max:
            raise ValueError(f"min ({self.min}) must be below max ({self.max})")
        _require_steps(max(abs(self.min), abs(self.max)), decimals=self.precision or 0)
        return self


class DatetimeColumn(_Bounded):
    """Points in time between two public bounds."""

    kind: Literal["datetime"] = "datetime"
    min: datetime | date = Field(description="Earliest possible time; public.")
    max: datetime | date = Field(description="Latest possible time; public.")
    precision: Literal["day", "hour", "minute", "second"] | None = Field(
        default=None,
        description="Step of the values; without it the coarsest step that the values keep to is released under DP with the profile.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "DatetimeColumn":
        if as_datetime(self.min) >= as_datetime(self.max):
            raise ValueError(f"min ({self.min}) must be before max ({self.max})")
        return self


class CategoricalColumn(_Bounded):
    """Unordered categories, declared as a public list or discovered under differential privacy."""

    kind: Literal["categorical"] = "categorical"
    categories: tuple[Category, ...] | None = Field(default=None, description="The public list of possible values.")
    discover: bool = Field(
        default=False, description="Find the categories under differential privacy; charged to the budget."
    )

    @field_validator("categories", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _checked_categories(value)

    @model_validator(mode="after")
    def _declared_or_discovered(self) -> "CategoricalColumn":
        if self.categories is None and not self.discover:
            raise ValueError("give `categories: [...]` (public), or `discover: true` to find them under DP at a charge")
        if self.categories is not None and self.discover:
            raise ValueError("give either `categories` or `discover: true`, not both")
        return _clip_needs_null(self)


class OrdinalColumn(_Bounded):
    """Ordered categories, lowest first."""

    kind: Literal["ordinal"] = "ordinal"
    categories: tuple[Category, ...] = Field(description="The public list of possible values, lowest first.")

    @field_validator("categories", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _checked_categories(value)

    @model_validator(mode="after")
    def _clip(self) -> "OrdinalColumn":
        return _clip_needs_null(self)


class BooleanColumn(_Bounded):
    """True or false."""

    kind: Literal["boolean"] = "boolean"


class IdentifierColumn(_Declared):
    """A name, key or free text: never read; invented for the synthetic table."""

    kind: Literal["identifier"] = "identifier"
    faker: str = Field(
        default="uuid4", pattern=r"^[a-z][a-z0-9_]*$", description="Name of the Faker provider that invents the values."
    )


Column: TypeAlias = Annotated[
    IntegerColumn | FloatColumn | DatetimeColumn | CategoricalColumn | OrdinalColumn | BooleanColumn | IdentifierColumn,
    Field(discriminator="kind"),
]
ModelledColumn: TypeAlias = (
    IntegerColumn | FloatColumn | DatetimeColumn | CategoricalColumn | OrdinalColumn | BooleanColumn
)
NumericColumn: TypeAlias = IntegerColumn | FloatColumn | DatetimeColumn
CategoryColumn: TypeAlias = CategoricalColumn | OrdinalColumn | BooleanColumn


_Listed = TypeVar("_Listed", CategoricalColumn, OrdinalColumn)


def as_datetime(value: datetime | date) -> datetime:
    """The point in time that a declared bound stands for (midnight for dates), without a time zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return datetime.combine(value, time.min)


def declared_categories(column: CategoryColumn) -> tuple[Category | bool, ...]:
    """The public categories of a column; empty for one whose categories are to be discovered."""
    if isinstance(column, BooleanColumn):
        return (False, True)
    return column.categories or ()


def category_key(value: object) -> str:
    """The text under which a category is matched: 1, 1.0 and "1" are one category, True is "True".

    Example:
        >>> category_key(1.0), category_key("1"), category_key("Private")
        ('1', '1', 'Private')
    """
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _require_steps(largest: float, *, decimals: int) -> None:
    """Refuse a bound that lies further from 0 than whole numbers of 64 bits count steps.

    Raises:
        ValueError: if it does.
    """
    if largest > MOST_STEPS / 10**decimals:
        raise ValueError(
            f"the bounds reach further than {MOST_STEPS / 10**decimals:.3g} from 0; declare closer ones, or fewer decimals"
        )


def _checked_categories(value: object) -> object:
    if value is None or not isinstance(value, (list, tuple)):
        return value
    items: list[object] = list(value)
    if not items:
        raise ValueError("categories is empty; list at least one value")
    if len(items) > MAX_CATEGORIES:
        raise ValueError(f"{len(items)} categories; at most {MAX_CATEGORIES} are allowed")
    if any(isinstance(item, bool) for item in items):
        raise ValueError(
            'true/false (YAML also reads yes/no so) among the categories; quote them ("yes") or use kind: boolean'
        )
    if any(item is None for item in items):
        raise ValueError("null among the categories; use `nullable: true` instead")
    keys = [category_key(item) for item in items]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"category {twice!r} is listed twice")
    return tuple(items)


def _clip_needs_null(column: _Listed) -> _Listed:
    if column.on_outside == "clip" and not column.nullable:
        raise ValueError("on_outside: clip turns unlisted categories into nulls, so it needs `nullable: true`")
    return column
