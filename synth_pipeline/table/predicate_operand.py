"""The operands of a parsed condition: columns, numbers and literals, with the refusals that belong to them."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import add, mul, sub, truediv
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from synth_pipeline.errors import PredicateError
from synth_pipeline.table.column import (
    BooleanColumn,
    CategoryColumn,
    DatetimeColumn,
    FloatColumn,
    IntegerColumn,
    ModelledColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.predicate_tree import Arithmetic, ArithmeticOperator, Constant, Number, NumberColumn

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

_SHOWN = 8
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FOLDED: dict[ArithmeticOperator, Callable[[float, float], float]] = {"+": add, "-": sub, "*": mul, "/": truediv}
_DATE_TYPES = ("DATE", "TIMESTAMP", "DATETIME", "TIMESTAMPNTZ")


@dataclass(frozen=True)
class Text:
    """A quoted literal."""

    value: str


@dataclass(frozen=True)
class TruthLiteral:
    """TRUE or FALSE."""

    value: bool


@dataclass(frozen=True)
class NullLiteral:
    """NULL."""


@dataclass(frozen=True)
class Category:
    """A category column."""

    name: str
    column: CategoryColumn


Operand: TypeAlias = Number | Category | Text | TruthLiteral | NullLiteral


def is_number(value: Operand) -> TypeGuard[Number]:
    """Whether an operand is a number or a point in time, rather than a category or a literal of another kind."""
    return isinstance(value, (Constant, NumberColumn, Arithmetic))


@dataclass(frozen=True)
class Scope:
    """What a condition may name.

    Attributes:
        columns: the modelled columns.
        where: place of the condition in the user's input, for errors.
        sql: the condition.
    """

    columns: Mapping[str, ModelledColumn]
    where: str
    sql: str

    def refuse(self, fault: str) -> PredicateError:
        """The error for a fault, with its place."""
        return PredicateError(f"{self.where}: {fault}")

    def operand(self, node: "Expr") -> Operand:
        """The value that an expression stands for.

        Raises:
            PredicateError: if it is no value of a supported form.
        """
        from sqlglot import expressions as exp

        if isinstance(node, exp.Paren):
            return self.operand(node.this)
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Literal):
            return Text(str(node.this)) if node.is_string else Constant(_number(str(node.this)))
        if isinstance(node, exp.Boolean):
            return TruthLiteral(bool(node.this))
        if isinstance(node, exp.Null):
            return NullLiteral()
        if isinstance(node, exp.Cast):
            return self._date(node)
        if isinstance(node, exp.Neg):
            return self._arithmetic("-", Constant(0), self.operand(node.this))
        operators: dict[type[Expr], ArithmeticOperator] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
        if type(node) in operators:
            return self._arithmetic(operators[type(node)], self.operand(node.this), self.operand(node.expression))
        raise self.refuse(unsupported(node))

    def _column(self, node: "Expr") -> Number | Category:
        if node.args.get("table") is not None:
            raise self.refuse(f"{node.sql()}: names a table; write the column alone")
        name = self._resolve(str(node.this.this), is_quoted=bool(node.this.args.get("quoted")))
        column = self.columns[name]
        if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
            return NumberColumn(name, is_datetime=isinstance(column, DatetimeColumn))
        return Category(name, column)

    def _resolve(self, name: str, *, is_quoted: bool) -> str:
        if name in self.columns:
            return name
        folded = [known for known in self.columns if known.lower() == name.lower()]
        if len(folded) == 1 and not is_quoted:
            return folded[0]
        raise self.refuse(f"no column {name!r} that a condition may name; {self._hint(name, is_quoted=is_quoted)}")

    def _hint(self, name: str, *, is_quoted: bool) -> str:
        for known in self.columns:
            spaced = r"\s*".join(re.escape(part) for part in re.split(r"(\W)", known) if part)
            if not _PLAIN_NAME.fullmatch(known) and name in known and re.search(rf'(?<!")\b{spaced}\b(?!")', self.sql):
                return f'a name that is not plain letters and digits goes in double quotes: "{known}"'
        close = difflib.get_close_matches(name, list(self.columns), n=3)
        if close:
            return "did you mean " + " or ".join(repr(item) for item in close) + "?"
        if is_quoted:
            return (
                f"text goes in single quotes ('{name}'), names in double ones; columns: {shortened(list(self.columns))}"
            )
        return f"columns: {shortened(list(self.columns))}; identifiers are never read, so no condition can name them"

    def _arithmetic(self, operator: ArithmeticOperator, left: Operand, right: Operand) -> Number:
        if not is_number(left) or not is_number(right) or left.is_datetime or right.is_datetime:
            names = [repr(side.name) for side in (left, right) if isinstance(side, (Category, NumberColumn))]
            what = " and ".join(names) or "a literal"
            raise self.refuse(
                f"arithmetic ({operator}) with {what}; only integer and float columns and numbers can be reckoned with"
            )
        if not isinstance(left, Constant) or not isinstance(right, Constant):
            return Arithmetic(operator, left, right)
        if operator == "/" and right.value == 0:
            raise self.refuse("division by zero; divide by a number other than 0")
        return Constant(_FOLDED[operator](left.value, right.value))

    def _date(self, node: "Expr") -> Constant:
        literal, target = node.this, str(node.args["to"].this.name)
        if target not in _DATE_TYPES or not literal.is_string:
            raise self.refuse(
                f"{node.sql()}: casts are not supported; write dates as '2015-01-31' and compare columns as they are"
            )
        return self.point_in_time(str(literal.this), "a DATE literal")

    def point_in_time(self, text: str, what: str) -> Constant:
        """The constant of a date literal.

        Raises:
            PredicateError: if the text is not a date.
        """
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise self.refuse(
                f"{text!r} compared with {what} is no date; write '2015-01-31' or '2015-01-31 13:45:00'"
            ) from None
        if moment.tzinfo is not None:
            raise self.refuse(f"{text!r} has a time zone; write the local time of the column, without one")
        return Constant(_microseconds(moment), is_datetime=True)

    def category(self, target: Category, value: Operand) -> str:
        """The category key that a literal compared with a category column stands for.

        Raises:
            PredicateError: if it is no literal, or not among the declared categories.
        """
        key = self._category_key(target, value)
        allowed = [category_key(item) for item in declared_categories(target.column)]
        if allowed and key not in allowed:
            close = difflib.get_close_matches(key, allowed, n=3)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise self.refuse(
                f"column {target.name!r} has no category {key!r}; its categories: {shortened(allowed)}{hint}"
            )
        return key

    def _category_key(self, target: Category, value: Operand) -> str:
        is_boolean = isinstance(target.column, BooleanColumn)
        if isinstance(value, TruthLiteral) and is_boolean:
            return str(value.value)
        if isinstance(value, Text):
            return value.value.strip().capitalize() if is_boolean else value.value
        if isinstance(value, Constant) and not value.is_datetime:
            key = category_key(value.value)
            return {"0": str(False), "1": str(True)}.get(key, key) if is_boolean else key
        allowed = "its categories" if not is_boolean else "TRUE or FALSE"
        raise self.refuse(
            f"column {target.name!r} is {target.column.kind}; compare it with {allowed}, or with another such column"
        )


def shortened(names: Sequence[object]) -> str:
    """The first few of a public list of names, and how many there are in all.

    Example:
        >>> shortened(["a", "b"])
        'a, b'
    """
    shown = ", ".join(str(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, … ({len(names)} in all)"


def unsupported(node: "Expr") -> str:
    """The fault line for a form of SQL that conditions do not have."""
    from sqlglot import expressions as exp

    text = re.sub(r"\s+", " ", node.sql())
    text = text if len(text) <= 60 else text[:57] + "..."
    what = f"{text!r} is not supported"
    if isinstance(node, exp.AggFunc):
        what = f"aggregate {text!r} is not supported: a condition looks at one row"
    elif isinstance(node, (exp.Query, exp.Exists)) or node.args.get("query") is not None:
        what = f"subquery {text!r} is not supported: a condition looks at one row"
    elif isinstance(node, exp.Func):
        what = f"function {text!r} is not supported"
    return f"{what}; use AND OR NOT, = <> < <= > >=, IN, BETWEEN, LIKE, IS [NOT] NULL, + - * / on columns and literals"


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def _microseconds(moment: datetime) -> int:
    delta = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
