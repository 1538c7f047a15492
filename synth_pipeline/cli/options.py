"""Options that several commands share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from synth_pipeline.errors import SpecError

if TYPE_CHECKING:
    from synth_pipeline.spec import Spec

_Command = TypeVar("_Command", bound=Callable[..., Any])


def json_option(command: _Command) -> _Command:
    """`--json`: the result as one JSON document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for machines.")(command)


def home_option(command: _Command) -> _Command:
    """`--home`: where ledger, stores and releases lie."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False),
        help="Folder of ledger, stores and releases. Default: $SYNTH_PIPELINE_HOME, else .synth_pipeline.",
    )(command)


def spec_option(command: _Command) -> _Command:
    """`--spec`: the specification of the dataset."""
    return click.option(
        "--spec",
        "spec_path",
        required=True,
        type=click.Path(),
        help="Spec file, or the defs.yaml of a Dagster component.",
    )(command)


def read_spec(
    path: str, *, generator: str | None = None, epsilon: float | None = None, delta: float | None = None
) -> "Spec":
    """The specification in a file, with what the command line puts in its place, checked as a whole.

    Raises:
        SpecError: if it is not valid, before or after.
        PredicateError: if a constraint does not parse or names no column.
    """
    from synth_pipeline.reserve import check_spec
    from synth_pipeline.spec import Spec

    spec = Spec.from_yaml(path)
    given = {"--generator": generator, "--epsilon": epsilon, "--delta": delta}
    options = " ".join(f"{name} {value}" for name, value in given.items() if value is not None)
    try:
        if generator is not None:
            spec = spec.with_generator(generator)
        if epsilon is not None or delta is not None:
            spec = spec.with_privacy(epsilon=epsilon, delta=delta)
    except SpecError as refusal:
        raise SpecError(f"{path} with {options}: {str(refusal).removeprefix('spec: ')}") from None
    check_spec(spec)
    return spec
