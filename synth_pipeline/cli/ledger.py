"""`ledger`: what is spent, on whom, by what; whether the chain of entries is intact; what to do with walks that will not end."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from synth_pipeline.cli.ledger_report import render_account, render_accounts, render_history
from synth_pipeline.cli.options import home_option, json_option
from synth_pipeline.cli.output import answer, number
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import CheckFailed, LedgerError

if TYPE_CHECKING:
    from synth_pipeline.privacy.ledger import Account, Head, Ledger, WalkRecord

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LONGEST_REASON = 300
_EPILOG = """\b
Examples:
  synth-pipeline ledger show                  every dataset
  synth-pipeline ledger show people           spent, reserved, left; by which walks, for what, until when
  synth-pipeline ledger history people --json
  synth-pipeline ledger verify                exit code 4 where the chain of entries is broken
  synth-pipeline ledger verify --anchor 12:5f0c…   and still holds what it held when it had 12 entries
  synth-pipeline ledger release 7 --reason "the machine is gone"

The ledger is the home's ledger.sqlite, or what $SYNTH_PIPELINE_LEDGER says: a path, or postgresql://user:password@host/database."""


@click.group(epilog=_EPILOG, short_help="What is spent, on whom, by what.", invoke_without_command=True)
@click.pass_context
def ledger(context: click.Context) -> None:
    """Show what was spent on whom, by what, and check that the record is whole."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@ledger.command(epilog=_EPILOG, short_help="Spent, reserved and left, on one screen.")
@click.argument("dataset", required=False)
@home_option
@json_option
@refusing
def show(dataset: str | None, *, home: str | None, as_json: bool) -> None:
    """Show what is spent, reserved and left of a dataset's cap, on one screen; without DATASET, of every dataset."""
    store = _open(home)
    if dataset is not None:
        account = _account(store, dataset)
        answer(account.to_dict(), lambda console: render_account(console, account), as_json=as_json)
        return
    names = _charged(store)
    accounts = [store.account(name) for name in names]
    listed = [
        {key: value for key, value in account.to_dict().items() if key not in {"entries", "walks"}}
        for account in accounts
    ]
    content = {"ledger": store.place, "datasets": listed}
    answer(content, lambda console: render_accounts(console, store, accounts), as_json=as_json)


@ledger.command(epilog=_EPILOG, short_help="Every entry, oldest first.")
@click.argument("dataset", required=False)
@home_option
@json_option
@refusing
def history(dataset: str | None, *, home: str | None, as_json: bool) -> None:
    """List every entry, oldest first."""
    store = _open(home)
    if dataset is not None:
        _account(store, dataset)
    entries = store.history(dataset)
    content = {"ledger": store.place, "dataset": dataset, "entries": [entry.to_dict() for entry in entries]}
    answer(content, lambda console: render_history(console, entries), as_json=as_json)


@ledger.command(epilog=_EPILOG, short_help="Check that the chain of entries is intact.")
@click.argument("dataset", required=False)
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="ENTRIES:DIGEST",
    help="A head noted elsewhere at an earlier time, which the chain must still hold; may be repeated.",
)
@home_option
@json_option
@refusing
def verify(dataset: str | None, *, anchors: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Check that no entry was changed, removed or moved; one chain holds all datasets, so all of it is checked."""
    heads = [_anchor(text) for text in anchors]
    store = _open(home)
    if dataset is not None:
        _account(store, dataset)
    report, head = store.verify(heads), store.head()
    if not report.is_intact:
        raise CheckFailed(f"{store.place}: the chain is broken: {'; '.join(report.faults)}; restore a backup")
    content = {
        "ledger": store.place,
        "dataset": dataset,
        "is_intact": True,
        "entries": report.entries,
        "dataset_entries": len(store.history(dataset)),
        "head": head.digest,
        "anchors": len(heads),
    }
    text = (
        f"{store.place}: intact, {report.entries} entries{_held(heads)}; anchor {head.entries}:{head.digest} "
        "(keep it elsewhere to notice a rewritten chain)"
    )
    if not report.entries:
        text = (
            f"{store.place}: no entries; there is no ledger yet, or it was moved: an --anchor noted earlier would tell"
        )
    answer(content, lambda console: console.print(text, soft_wrap=True), as_json=as_json)


def _reason(context: click.Context, option: click.Parameter, text: str) -> str:
    """A reason in one printable line: what is written can never be taken back, and others print it."""
    line = " ".join(text.split())
    if not line or not line.isprintable() or len(line) > _LONGEST_REASON:
        raise click.BadParameter(
            f"give a reason of 1 to {_LONGEST_REASON} printable characters", ctx=context, param=option
        )
    return line


def _walk_options(command: _Command) -> _Command:
    """WALK and --reason, of the two commands that end a walk."""
    reason = click.option(
        "--reason", required=True, callback=_reason, help="Why, for the record; it stays in the ledger for good."
    )
    return click.argument("walk", metavar="WALK")(reason(home_option(json_option(command))))


@ledger.command(epilog=_EPILOG, short_help="Give a reservation back that read nothing.")
@_walk_options
@refusing
def release(walk: str, *, reason: str, home: str | None, as_json: bool) -> None:
    """Give back the reservation of a walk that has read nothing. WALK is its number in `ledger show`, or its walk id.

    What was read stays charged: such a walk is refused here. A walk that is still under way and has not read yet ends at its next step.
    """
    store = _open(home)
    record = _find_walk(store, walk)
    store.release(record.reservation, reason)
    _answer_ended(store, record, "given back", as_json=as_json)


@ledger.command(epilog=_EPILOG, short_help="Close a walk that read rows and will never finish.")
@_walk_options
@refusing
def close(walk: str, *, reason: str, home: str | None, as_json: bool) -> None:
    """Close a walk that read rows and will never finish, at its whole charge. WALK is its number in `ledger show`, or its walk id.

    Nothing is given back. Where the cap renews, an open walk counts in every period, because it may still read; a closed one does not.
    """
    store = _open(home)
    record = _find_walk(store, walk)
    store.close(record.reservation, reason)
    _answer_ended(store, record, "closed", as_json=as_json)


def _answer_ended(store: "Ledger", record: "WalkRecord", how: str, *, as_json: bool) -> None:
    reservation = record.reservation
    account = store.account(reservation.key.dataset)
    content = {
        "ledger": store.place,
        "dataset": account.dataset,
        "reservation": reservation.number,
        "walk_id": reservation.key.walk_id,
        "is": how,
        "left_epsilon": account.left_epsilon,
    }
    text = f"#{reservation.number} of {account.dataset}: {how}; ε = {number(account.left_epsilon)} is left"
    answer(content, lambda console: console.print(text, soft_wrap=True), as_json=as_json)


def _find_walk(store: "Ledger", word: str) -> "WalkRecord":
    """The one walk of that reservation number or walk id (or its beginning, of eight characters or more).

    Raises:
        LedgerError: when there is none, or several.
    """
    walks = store.walks()
    found = [record for record in walks if str(record.reservation.number) == word]
    found = found or [record for record in walks if record.reservation.key.walk_id == word]
    if not found and len(word) >= 8:
        found = [record for record in walks if record.reservation.key.walk_id.startswith(word)]
    if len(found) > 1:
        found = [record for record in found if record.closed is None] or found
    if len(found) != 1:
        numbers = ", ".join(f"#{record.reservation.number}" for record in found)
        what = f"several reservations are called so ({numbers}); give the number" if found else "no such walk"
        raise LedgerError(f"walk {word!r}: {what}; `ledger show DATASET` lists numbers and walk ids")
    return found[0]


def _anchor(text: str) -> "Head":
    """Read ENTRIES:DIGEST.

    Raises:
        LedgerError: for anything else.
    """
    from synth_pipeline.privacy.ledger import Head

    entries, _, digest = text.partition(":")
    if not (entries.isdecimal() and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise LedgerError(
            f"--anchor {text!r}: give ENTRIES:DIGEST as `ledger verify` prints it, a number and 64 hexadecimal digits"
        )
    return Head(int(entries), digest)


def _held(anchors: "Sequence[Head]") -> str:
    return f", {len(anchors)} anchor{'s' if len(anchors) > 1 else ''} held" if anchors else ""


def _open(home: str | None) -> "Ledger":
    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.privacy.ledger import open_ledger

    return open_ledger(Home.at(home).ledger)


def _charged(store: "Ledger") -> list[str]:
    """Names of the datasets that something was reserved for; of others there are records at most."""
    return sorted({entry.dataset for entry in store.history() if entry.kind == "reserve"})


def _account(store: "Ledger", dataset: str) -> "Account":
    """The account of a dataset that was charged, or that a definition describes.

    Raises:
        LedgerError: for any other name, with the names that there are.
    """
    from synth_pipeline.cli.dataset import defined_specs
    from synth_pipeline.privacy.ledger import cap_of

    charged = _charged(store)
    if dataset in charged:
        return store.account(dataset)
    specs = defined_specs()
    if dataset not in specs:
        names = ", ".join(sorted({*charged, *specs})) or "none yet"
        raise LedgerError(f"dataset {dataset!r}: unknown; {store.place} and the definitions hold: {names}")
    return store.account(dataset, cap_of(specs[dataset]))
