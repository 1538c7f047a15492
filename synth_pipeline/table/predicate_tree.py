"""A parsed condition as a tree of small values, and its evaluation in SQL's three-valued logic.

A truth is an int8: 0 false, 1 unknown (NULL), 2 true; so AND is the minimum, OR the maximum, and NOT the mirror image. The same leaves
are evaluated over data frames and over the cells of a declared domain (see `predicate_values`), so both always agree.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Truths = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.int64]
Operator: TypeAlias = Literal["=", "<>", "<", "<=", ">", ">="]

ArithmeticOperator: TypeAlias = Literal["+", "-", "*", "/"]

FALSE, UNKNOWN, TRUE = 0, 1, 2
NOT: tuple[int, int, int] = (TRUE, UNKNOWN, FALSE)
_RELATIVE_TOLERANCE = 1e-9
_TRUE_SIGNS: dict[Operator, tuple[int, ...]] = {
    "=": (0,),
    "<>": (-1, 1),
    "<": (-1,),
    "<=": (-1, 0),
    ">": (1,),
    ">=": (0, 1),
}


class Values(Protocol):
    """Rows to evaluate over: a data frame, or cells of a declared domain."""

    def number(self, name: str) -> tuple[Numbers, Bools]:
        """Values of a numeric column (datetimes as microseconds since 1970), and which of them are null."""
        ...

    def category(self, name: str) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
        """Index of each value of a category column among the given category keys; -1 is null."""
        ...


@dataclass(frozen=True)
class Constant:
    """A number, or a point in time as microseconds since 1970."""

    value: int | float
    is_datetime: bool = False

    def evaluate(self, values: Values) -> tuple[Numbers, Bools]:
        """The constant, to be broadcast."""
        return np.asarray(self.value), np.asarray(a=False)


@dataclass(frozen=True)
class NumberColumn:
    """A numeric or datetime column."""

    name: str
    is_datetime: bool = False

    def evaluate(self, values: Values) -> tuple[Numbers, Bools]:
        """Values of the column and which are null."""
        return values.number(self.name)


@dataclass(frozen=True)
class Arithmetic:
    """Two numbers joined by + - * or /; division by zero gives null, and is never integer division."""

    operator: ArithmeticOperator
    left: "Number"
    right: "Number"
    is_datetime: bool = False

    def evaluate(self, values: Values) -> tuple[Numbers, Bools]:
        """Results in float64 and which are null."""
        (left, no_left), (right, no_right) = self.left.evaluate(values), self.right.evaluate(values)
        left, right = left.astype(np.float64), right.astype(np.float64)
        with np.errstate(all="ignore"):
            if self.operator == "+":
                result = left + right
            elif self.operator == "-":
                result = left - right
            elif self.operator == "*":
                result = left * right
            else:
                result = left / np.where(right == 0, np.nan, right)
        return result, no_left | no_right | np.isnan(result)


Number: TypeAlias = Constant | NumberColumn | Arithmetic


def direction(number: Number) -> int | None:
    """+1 where the number grows with its one column, -1 where it falls, 0 for a constant, None where neither is known."""
    if isinstance(number, Constant):
        return 0
    if isinstance(number, NumberColumn):
        return 1
    left, right = direction(number.left), direction(number.right)
    if left is None or right is None or (left and right):
        return None
    if left == 0 and right == 0:
        return 0
    if number.operator in "+-":
        return left or (right if number.operator == "+" else -right)
    factor, moving = (number.right, left) if left else (number.left, right)
    if not isinstance(factor, Constant) or factor.value == 0 or (number.operator == "/" and not left):
        return None
    return moving if factor.value > 0 else -moving


def number_columns(number: Number) -> frozenset[str]:
    """Names of the columns in an arithmetic expression."""
    if isinstance(number, NumberColumn):
        return frozenset((number.name,))
    if isinstance(number, Arithmetic):
        return number_columns(number.left) | number_columns(number.right)
    return frozenset()


@dataclass(frozen=True)
class Comparison:
    """Two numbers compared.

    Plain columns and literals are compared exactly. Where a side is arithmetic, numbers closer than a relative 1e-9 count as equal, so
    that `total = net + tax` holds for decimals whose binary sum is off in the last place.
    """

    operator: Operator
    left: Number
    right: Number

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns compared."""
        return number_columns(self.left) | number_columns(self.right)

    def sign(self, values: Values) -> tuple[Truths, Bools]:
        """-1, 0 or 1 where left is below, at or above right, and where that is unknown."""
        (left, no_left), (right, no_right) = self.left.evaluate(values), self.right.evaluate(values)
        slack: npt.NDArray[np.float64] | int = 0
        if isinstance(self.left, Arithmetic) or isinstance(self.right, Arithmetic):
            slack = _RELATIVE_TOLERANCE * np.maximum(1.0, np.maximum(np.abs(left), np.abs(right)))
            slack = np.where(np.isfinite(slack), slack, 0.0)
        with np.errstate(invalid="ignore"):
            sign = (left > right + slack).astype(np.int8) - (left < right - slack).astype(np.int8)
        return sign, no_left | no_right

    def evaluate(self, values: Values) -> Truths:
        """Truth of each row."""
        sign, unknown = self.sign(values)
        is_true = np.isin(sign, _TRUE_SIGNS[self.operator])
        return np.where(unknown, UNKNOWN, np.where(is_true, TRUE, FALSE)).astype(np.int8)


@dataclass(frozen=True)
class Membership:
    """A category column compared with a set of categories.

    Attributes:
        name: the column.
        keys: the categories (as `category_key` text) for which the test is true.
        pattern: a regular expression whose matches are true as well, or None.
    """

    name: str
    keys: frozenset[str]
    pattern: str | None = None

    @property
    def columns(self) -> frozenset[str]:
        """The one column."""
        return frozenset((self.name,))

    def evaluate(self, values: Values) -> Truths:
        """Truth of each row."""
        codes, keys = values.category(self.name)
        wanted = None if self.pattern is None else re.compile(self.pattern, re.DOTALL)
        truths = [TRUE if key in self.keys or (wanted and wanted.fullmatch(key)) else FALSE for key in keys]
        return np.array([*truths, UNKNOWN], dtype=np.int8)[codes]


@dataclass(frozen=True)
class CategoryPair:
    """Two category columns compared: by their keys, or by their places in one declared order.

    Attributes:
        ranks: the shared order of the categories for < and >; None for = and <> only.
    """

    operator: Operator
    left: str
    right: str
    ranks: tuple[str, ...] | None = None

    @property
    def columns(self) -> frozenset[str]:
        """The two columns."""
        return frozenset((self.left, self.right))

    def evaluate(self, values: Values) -> Truths:
        """Truth of each row."""
        (left, left_keys), (right, right_keys) = values.category(self.left), values.category(self.right)
        order = self.ranks or tuple(dict.fromkeys((*left_keys, *right_keys)))
        place = {key: index for index, key in enumerate(order)}
        sign = np.sign(_places(left, left_keys, place) - _places(right, right_keys, place))
        is_true = np.isin(sign, _TRUE_SIGNS[self.operator])
        return np.where((left < 0) | (right < 0), UNKNOWN, np.where(is_true, TRUE, FALSE)).astype(np.int8)


def _places(codes: npt.NDArray[np.intp], keys: tuple[str, ...], place: dict[str, int]) -> npt.NDArray[np.int64]:
    return np.array([*(place.get(key, -1) for key in keys), -1], dtype=np.int64)[codes]


@dataclass(frozen=True)
class IsNull:
    """Whether a number or a category column is null; never unknown itself."""

    operand: Number | str

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns in the operand."""
        return frozenset((self.operand,)) if isinstance(self.operand, str) else number_columns(self.operand)

    def evaluate(self, values: Values) -> Truths:
        """Truth of each row."""
        null = (
            values.category(self.operand)[0] < 0 if isinstance(self.operand, str) else self.operand.evaluate(values)[1]
        )
        return np.where(null, TRUE, FALSE).astype(np.int8)


Leaf: TypeAlias = Comparison | Membership | CategoryPair | IsNull


@dataclass(frozen=True)
class Fixed:
    """A condition with the same truth everywhere."""

    truth: int


@dataclass(frozen=True)
class Lookup:
    """A condition whose truth is a function of another's: NOT, IS TRUE, IS NULL and so on.

    Attributes:
        table: the truth where the part is false, unknown, true.
    """

    part: "Tree"
    table: tuple[int, int, int]


@dataclass(frozen=True)
class AllOf:
    """Conditions joined by AND."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True)
class AnyOf:
    """Conditions joined by OR."""

    parts: tuple["Tree", ...]


Tree: TypeAlias = Leaf | Fixed | Lookup | AllOf | AnyOf


def leaves(tree: Tree) -> Iterator[Leaf]:
    """The comparisons of a condition, left to right."""
    if isinstance(tree, AllOf | AnyOf):
        for part in tree.parts:
            yield from leaves(part)
    elif isinstance(tree, Lookup):
        yield from leaves(tree.part)
    elif not isinstance(tree, Fixed):
        yield tree


def evaluate(tree: Tree, truth_of: Callable[[Leaf], Truths]) -> Truths:
    """Truth of a condition, given the truth of each of its leaves; arrays are broadcast against one another."""
    if isinstance(tree, AllOf):
        return reduce(np.minimum, (evaluate(part, truth_of) for part in tree.parts))
    if isinstance(tree, AnyOf):
        return reduce(np.maximum, (evaluate(part, truth_of) for part in tree.parts))
    if isinstance(tree, Lookup):
        return np.array(tree.table, dtype=np.int8)[evaluate(tree.part, truth_of)]
    if isinstance(tree, Fixed):
        return np.asarray(tree.truth, dtype=np.int8)
    return truth_of(tree)
