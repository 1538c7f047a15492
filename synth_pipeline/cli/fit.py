"""`fit`: profile and train on all rows of a table, without Dagster; charges the ledger."""

import secrets
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synth_pipeline.cli.options import home_option, json_option, read_spec, spec_option
from synth_pipeline.cli.output import answer, facts, number
from synth_pipeline.cli.progress import progress
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import ModelError

if TYPE_CHECKING:
    from synth_pipeline.cli.progress import Teller
    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.release.model import ReleasedModel
    from synth_pipeline.spec import Spec

_EPILOG = """\b
Examples:
  synth-pipeline fit --spec people.yaml --data people.parquet --out model
  synth-pipeline fit --spec people.yaml --data people.csv --out model --generator autoregressive --epsilon 2

The order is: check the spec and the place, ask the ledger, read the file, reserve, train, commit. A refusal on the way leaves the
ledger as it was and no MODEL_DIR. From the first measurement on the charge stands, whatever happens."""


@click.command(epilog=_EPILOG, short_help="Train a generator on a table; charges the ledger.")
@spec_option
@click.option("--data", required=True, type=click.Path(), help="The private table: .parquet or .csv.")
@click.option("--out", required=True, type=click.Path(), help="Folder of the model; an older model there is replaced.")
@click.option("--generator", default=None, help="Kind of generator, in place of the spec's.")
@click.option("--epsilon", default=None, type=float, help="ε of this fit, in place of the spec's.")
@click.option("--delta", default=None, type=float, help="δ of this fit, in place of the spec's.")
@home_option
@json_option
@refusing
def fit(  # noqa: PLR0913  (each option is an argument)
    spec_path: str,
    *,
    data: str,
    out: str,
    generator: str | None,
    epsilon: float | None,
    delta: float | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Train a generator on all rows of a table and save it in a folder; the privacy budget is charged to the ledger."""
    from synth_pipeline.cli.place import require_model_place
    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.privacy.ledger import open_ledger

    spec = read_spec(spec_path, generator=generator, epsilon=epsilon, delta=delta)
    require_model_place(out)
    place = Home.at(home)
    with progress(f"fit: {spec.dataset}") as tell:
        model = _trained(spec, data, place, tell)
        saved = _saved(model, out)
    spent, ledger_place = model.epsilon, open_ledger(place.ledger).place
    warnings = [*model.profile.warnings, *_of_a_release(data)]
    content = {
        "model": str(saved),
        "dataset": spec.dataset,
        "generator": model.generator.kind,
        "epsilon": spent,
        "delta": spec.privacy.delta,
        "ledger": ledger_place,
        "warnings": warnings,
    }
    shown = {
        "model": f"{saved} ({model.generator.kind})",
        "charged": f"ε = {number(spent)} at δ = {number(spec.privacy.delta)}, in {ledger_place}",
        "next": f"synth-pipeline sample {saved} --rows 10000 --out synthetic.parquet",
    }
    shown |= {"warning": "; ".join(warnings)} if warnings else {}
    answer(content, lambda console: facts(console, shown), as_json=as_json)


def _trained(spec: "Spec", data: str, home: "Home", tell: "Teller") -> "ReleasedModel":
    """The walk's own stages, with the file read between the ledger's word and the reservation.

    Asked first, a ledger without room refuses before any row is read; reserved last, a table that is refused leaves no entry.
    """
    from synth_pipeline.cli.admission import require_admissible
    from synth_pipeline.integrations.ledger_kept import require_same_ledger
    from synth_pipeline.privacy.gate import masked_counts, withheld_output
    from synth_pipeline.privacy.ledger import ALL_COHORTS, open_ledger

    ledger = open_ledger(home.ledger)
    require_same_ledger(home, spec.dataset)
    require_admissible(spec, ledger, cohort=ALL_COHORTS)
    with masked_counts(home.private), withheld_output("fit", home.private):
        return _read_and_trained(spec, data, home, tell)


def _read_and_trained(spec: "Spec", data: str, home: "Home", tell: "Teller") -> "ReleasedModel":
    from synth_pipeline.generate.protocol import RuntimeConfig
    from synth_pipeline.privacy.ledger import ALL_COHORTS, open_ledger
    from synth_pipeline.reserve import given_back_unread, open_walk
    from synth_pipeline.snapshot.read import read_table
    from synth_pipeline.snapshot.take import take_snapshot
    from synth_pipeline.walk import profile, train

    snapshot = take_snapshot(read_table(data, spec), spec, key=secrets.token_bytes(32), holdout=False)
    home.make()
    ledger = open_ledger(home.ledger)
    walk_id = uuid.uuid4().hex
    walk = open_walk(spec, snapshot=f"fit-{walk_id[:12]}", ledger=ledger, walk_id=walk_id, cohort=ALL_COHORTS)
    runtime = RuntimeConfig(progress=tell)
    with given_back_unread(walk):
        return train(walk, snapshot, profile(walk, snapshot, runtime=runtime), runtime=runtime)


def _of_a_release(data: str) -> list[str]:
    from synth_pipeline.cli.released_file import states_release

    words = "--data states that it is a release: its rows are public, so this charge bought nothing, and the model describes synthetic rows"
    return [words] if states_release(data) else []


def _saved(model: "ReleasedModel", out: str) -> Path:
    try:
        return model.save(out)
    except OSError as fault:
        raise ModelError(
            f"--out: {out}: the model could not be written ({type(fault).__name__}) and is lost; its charge stands, as rows were read"
        ) from None
