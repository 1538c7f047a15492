"""SQL text of a condition to its tree, through sqlglot; every refusal is one line that says what to write instead."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from synth_pipeline.table.column import BooleanColumn, Category, OrdinalColumn, category_key, declared_categories
from synth_pipeline.table.predicate_operand import Category as CategoryOperand
from synth_pipeline.table.predicate_operand import NullLiteral, Operand, Scope, Text, is_number, unsupported
from synth_pipeline.table.predicate_tree import (
    FALSE,
    NOT,
    TRUE,
    AllOf,
    AnyOf,
    Arithmetic,
    CategoryPair,
    Comparison,
    Constant,
    Fixed,
    IsNull,
    Lookup,
    Membership,
    Number,
    NumberColumn,
    Operator,
    Tree,
)

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

_MIRRORED: dict[Operator, Operator] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HOLDS: dict[Operator, Callable[[float, float], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_MAX_SQL = 20_000
_IS_TRUE, _IS_FALSE, _IS_UNKNOWN = (FALSE, FALSE, TRUE), (TRUE, FALSE, FALSE), (FALSE, TRUE, FALSE)


def parse_tree(scope: Scope) -> Tree:
    """The tree of the condition in a scope.

    Raises:
        PredicateError: if it does not parse, or is not a supported condition over the columns in scope.
    """
    try:
        return _condition(scope, _parse(scope))
    except RecursionError:
        raise scope.refuse("nested too deeply; split it into several conditions") from None


def _parse(scope: Scope) -> "Expr":
    import sqlglot
    from sqlglot.errors import SqlglotError

    if not scope.sql.strip():
        raise scope.refuse("empty; write an SQL condition such as age < 30")
    if len(scope.sql) > _MAX_SQL:
        raise scope.refuse(
            f"{len(scope.sql)} characters long; at most {_MAX_SQL} are allowed: split it into several conditions"
        )
    try:
        parsed = sqlglot.parse(scope.sql)
    except SqlglotError as error:
        found = re.search(r"Col: (\d+)", str(error))
        place = f" near character {found[1]}" if found else ""
        raise scope.refuse(
            f"does not parse as an SQL condition{place}; check brackets, and quote names that hold signs or are SQL words, as in "
            '"hours-per-week" > 40'
        ) from None
    if len(parsed) != 1 or parsed[0] is None:
        raise scope.refuse("holds several statements; write one condition")
    return parsed[0]


def _condition(scope: Scope, node: "Expr") -> Tree:
    tree = _plain_condition(scope, node)
    return Lookup(tree, NOT) if node.args.get("negate") else tree


def _plain_condition(scope: Scope, node: "Expr") -> Tree:
    from sqlglot import expressions as exp

    if isinstance(node, exp.Paren):
        return _condition(scope, node.this)
    if isinstance(node, exp.Not):
        return Lookup(_condition(scope, node.this), NOT)
    if isinstance(node, exp.Boolean):
        return Fixed(TRUE if node.this else FALSE)
    if isinstance(node, (exp.And, exp.Or)):
        parts = tuple(_condition(scope, part) for part in node.flatten(unnest=False))
        return AllOf(parts) if isinstance(node, exp.And) else AnyOf(parts)
    handlers: dict[type[Expr], Callable[[Scope, Expr], Tree]] = {
        exp.Is: _is, exp.In: _in, exp.Between: _between, exp.Like: _like, exp.ILike: _like, exp.Column: _bare,
    }  # fmt: skip
    return handlers.get(type(node), _comparison)(scope, node)


def _comparison(scope: Scope, node: "Expr") -> Tree:
    from sqlglot import expressions as exp

    operators: dict[type[Expr], Operator] = {
        exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
    }  # fmt: skip
    operator = operators.get(type(node))
    if operator is None:
        if isinstance(node, (exp.Literal, exp.Null, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div)):
            raise scope.refuse(f"{node.sql()!r} is a value, not a condition; compare it with something, as in age < 30")
        raise scope.refuse(unsupported(node))
    if any(type(side) in operators for side in (node.this, node.expression)):
        raise scope.refuse("compares a comparison; write 1 < age AND age < 5 rather than 1 < age < 5")
    return _compare(scope, operator, scope.operand(node.this), scope.operand(node.expression))


def _between(scope: Scope, node: "Expr") -> Tree:
    value, low, high = (scope.operand(node.args[key]) for key in ("this", "low", "high"))
    return AllOf((_compare(scope, ">=", value, low), _compare(scope, "<=", value, high)))


def _compare(scope: Scope, operator: Operator, left: Operand, right: Operand) -> Tree:
    if isinstance(left, NullLiteral) or isinstance(right, NullLiteral):
        raise scope.refuse(f"{operator} NULL is never true in SQL; write IS NULL or IS NOT NULL")
    if isinstance(left, CategoryOperand):
        if isinstance(right, CategoryOperand):
            return _pair(scope, operator, left, right)
        return _category(scope, operator, left, right)
    if isinstance(right, CategoryOperand):
        return _category(scope, _MIRRORED[operator], right, left)
    return Comparison(operator, *_numbers(scope, left, right))


def _numbers(scope: Scope, left: Operand, right: Operand) -> tuple[Number, Number]:
    for value, other in ((left, right), (right, left)):
        if isinstance(value, Text) and is_number(other):
            what = f"column {other.name!r}" if isinstance(other, NumberColumn) else "a number"
            if not other.is_datetime:
                raise scope.refuse(
                    f"text {value.value!r} compared with {what}, which is no text; write the number without quotes"
                )
            moment = scope.point_in_time(value.value, what)
            return (moment, other) if value is left else (other, moment)
    if not is_number(left) or not is_number(right):
        raise scope.refuse(
            "compares a literal with something that is no column of its kind; compare columns with values they can hold"
        )
    if left.is_datetime != right.is_datetime:
        raise scope.refuse("compares a datetime with a number; write dates in single quotes: '2015-01-31'")
    return left, right


def _category(scope: Scope, operator: Operator, target: CategoryOperand, value: Operand) -> Tree:
    if operator in ("=", "<>"):
        if isinstance(value, (NumberColumn, Arithmetic)):
            raise scope.refuse(
                f"column {target.name!r} is {target.column.kind}, compared with a number; use its categories"
            )
        test = Membership(target.name, frozenset((scope.category(target, value),)))
        return test if operator == "=" else Lookup(test, NOT)
    if not isinstance(target.column, OrdinalColumn):
        raise scope.refuse(
            f"column {target.name!r} is {target.column.kind} and has no order for {operator}; use = or IN, or declare kind: ordinal"
        )
    return Membership(target.name, _beyond(scope, operator, target, value))


def _beyond(scope: Scope, operator: Operator, target: CategoryOperand, value: Operand) -> frozenset[str]:
    """Categories of an ordinal column on one side of a value: by declared order, or as numbers where they are ascending numbers."""
    listed = [item for item in declared_categories(target.column) if not isinstance(item, bool)]
    keys, holds = [category_key(item) for item in listed], _HOLDS[operator]
    numbers = [item for item in listed if not isinstance(item, str)]
    if isinstance(value, Constant) and len(numbers) == len(listed) and numbers == sorted(numbers):
        return frozenset(key for key, number in zip(keys, numbers, strict=True) if holds(number, value.value))
    place = keys.index(scope.category(target, value))
    return frozenset(key for index, key in enumerate(keys) if holds(index, place))


def _pair(scope: Scope, operator: Operator, left: CategoryOperand, right: CategoryOperand) -> Tree:
    if operator in ("=", "<>"):
        return CategoryPair(operator, left.name, right.name)
    both: tuple[tuple[Category | bool, ...], ...] = tuple(
        declared_categories(side.column) for side in (left, right) if isinstance(side.column, OrdinalColumn)
    )
    orders = [tuple(map(category_key, categories)) for categories in both]
    if len(orders) < 2 or orders[0] != orders[1]:
        raise scope.refuse(
            f"{left.name!r} {operator} {right.name!r} needs two ordinal columns of the same categories; use = or <>"
        )
    return CategoryPair(operator, left.name, right.name, orders[0])


def _is(scope: Scope, node: "Expr") -> Tree:
    from sqlglot import expressions as exp

    if isinstance(node.expression, exp.Boolean):
        return Lookup(_condition(scope, node.this), _IS_TRUE if node.expression.this else _IS_FALSE)
    if not isinstance(node.expression, exp.Null):
        raise scope.refuse(f"IS {node.expression.sql()} is not supported; use IS [NOT] NULL, IS [NOT] TRUE or =")
    subject = node.this.unnest()
    if isinstance(subject, (exp.Column, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg)):
        value = scope.operand(subject)
        if isinstance(value, CategoryOperand) or is_number(value):
            return IsNull(value.name if isinstance(value, CategoryOperand) else value)
    return Lookup(_condition(scope, subject), _IS_UNKNOWN)


def _in(scope: Scope, node: "Expr") -> Tree:
    listed: list[Expr] = node.expressions
    if node.args.get("query") is not None:
        raise scope.refuse(unsupported(node))
    if not listed:
        raise scope.refuse("IN with an empty list; list at least one value")
    value, items = scope.operand(node.this), [scope.operand(item) for item in listed]
    if any(isinstance(item, NullLiteral) for item in items):
        raise scope.refuse("NULL in an IN list never matches; write OR column IS NULL")
    if isinstance(value, CategoryOperand) and not any(isinstance(item, CategoryOperand) for item in items):
        return Membership(value.name, frozenset(scope.category(value, item) for item in items))
    return AnyOf(tuple(_compare(scope, "=", value, item) for item in items))


def _like(scope: Scope, node: "Expr") -> Tree:
    from sqlglot import expressions as exp

    target, pattern = scope.operand(node.this), scope.operand(node.expression)
    if not isinstance(target, CategoryOperand) or isinstance(target.column, BooleanColumn):
        raise scope.refuse("LIKE needs a categorical or ordinal column on its left; compare numbers with < and >")
    if not isinstance(pattern, Text):
        raise scope.refuse("LIKE needs a pattern in single quotes, where % stands for any text and _ for one character")
    parts = [".*" if char == "%" else "." if char == "_" else re.escape(char) for char in pattern.value]
    return Membership(target.name, frozenset(), ("(?i)" if isinstance(node, exp.ILike) else "") + "".join(parts))


def _bare(scope: Scope, node: "Expr") -> Tree:
    value = scope.operand(node)
    if isinstance(value, CategoryOperand) and isinstance(value.column, BooleanColumn):
        return Membership(value.name, frozenset((str(True),)))
    name = value.name if isinstance(value, (CategoryOperand, NumberColumn)) else node.sql()
    kind = value.column.kind if isinstance(value, CategoryOperand) else "a number"
    raise scope.refuse(
        f"column {name!r} is {kind}, not boolean, so it is no condition by itself; compare it with a value"
    )
