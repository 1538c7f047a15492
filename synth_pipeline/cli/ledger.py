"""`ledger`: what is spent, on whom, by what; and whether the chain of entries is intact."""

from typing import TYPE_CHECKING, Any

import click

from synth_pipeline.cli.options import home_option, json_option
from synth_pipeline.cli.output import answer, number, table
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import CheckFailed, LedgerError

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.privacy.ledger import Account, Entry, SqliteLedger, WalkRecord

_NEWEST = 15
_EPILOG = """\b
Examples:
  synth-pipeline ledger show                  every dataset
  synth-pipeline ledger show people           spent, reserved, left; by which walks, for what
  synth-pipeline ledger history people --json
  synth-pipeline ledger verify                exit code 4 where the chain of entries is broken"""


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
        answer(account.to_dict(), lambda console: _render_account(console, account), as_json=as_json)
        return
    names = sorted({entry.dataset for entry in store.history()})
    accounts = [store.account(name) for name in names]
    listed = [{key: value for key, value in account.to_dict().items() if key != "entries"} for account in accounts]
    content = {"ledger": str(store.path), "datasets": listed}
    answer(content, lambda console: _render_accounts(console, store, accounts), as_json=as_json)


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
    content = {"ledger": str(store.path), "dataset": dataset, "entries": [entry.to_dict() for entry in entries]}
    answer(content, lambda console: _render_history(console, entries), as_json=as_json)


@ledger.command(epilog=_EPILOG, short_help="Check that the chain of entries is intact.")
@click.argument("dataset", required=False)
@home_option
@json_option
@refusing
def verify(dataset: str | None, *, home: str | None, as_json: bool) -> None:
    """Check that no entry was changed, removed or moved; one chain holds all datasets, so all of it is checked."""
    store = _open(home)
    if dataset is not None:
        _account(store, dataset)
    report, head = store.verify(), store.head()
    if not report.is_intact:
        raise CheckFailed(f"{store.path}: the chain is broken: {'; '.join(report.faults)}; restore a backup")
    content = {
        "ledger": str(store.path),
        "dataset": dataset,
        "is_intact": True,
        "entries": report.entries,
        "dataset_entries": len(store.history(dataset)),
        "head": head.digest,
    }
    text = f"{store.path}: intact, {report.entries} entries; head {head.digest} (keep it elsewhere to notice a rewritten chain)"
    answer(content, lambda console: console.print(text, soft_wrap=True), as_json=as_json)


def _open(home: str | None) -> "SqliteLedger":
    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.privacy.ledger import open_ledger

    return open_ledger(Home.at(home).ledger)


def _account(store: "SqliteLedger", dataset: str) -> "Account":
    """The account of a dataset that was charged, or that a definition describes.

    Raises:
        LedgerError: for any other name, with the names that there are.
    """
    from synth_pipeline.cli.dataset import defined_specs
    from synth_pipeline.privacy.ledger import Cap

    charged = sorted({entry.dataset for entry in store.history()})
    if dataset in charged:
        return store.account(dataset)
    specs = defined_specs()
    if dataset not in specs:
        names = ", ".join(sorted({*charged, *specs})) or "none yet"
        raise LedgerError(f"dataset {dataset!r}: unknown; {store.path} and the definitions hold: {names}")
    privacy = specs[dataset].privacy
    return store.account(dataset, Cap(privacy.cap.epsilon, privacy.cap_delta))


def _render_accounts(console: "Console", store: "SqliteLedger", accounts: list["Account"]) -> None:
    if not accounts:
        console.print(f"{store.path}: nothing was charged yet.", soft_wrap=True)
        return
    rows = [
        (
            account.dataset,
            *map(number, (account.spent_epsilon, account.reserved_epsilon, account.left_epsilon)),
            _cap(account),
        )
        for account in accounts
    ]
    table(
        console, ("dataset", "spent ε", "reserved ε", "left ε", "cap"), rows, right=("spent ε", "reserved ε", "left ε")
    )


def _render_account(console: "Console", account: "Account") -> None:
    from synth_pipeline.privacy.ledger.book import read_book

    console.print(
        f"{account.dataset}: ε = {number(account.spent_epsilon)} spent, {number(account.reserved_epsilon)} reserved,"
        f" {number(account.left_epsilon)} left of the cap {_cap(account)}, which never renews.\n",
        soft_wrap=True,
    )
    blocks = [
        (block.cohort, *map(number, (block.spent_epsilon, block.reserved_epsilon, block.left_epsilon)))
        for block in account.blocks
    ]
    figures = ("spent ε", "reserved ε", "left ε")
    if account.entries:
        table(console, ("people (cohort)", *figures), blocks[:_NEWEST], right=figures)
        _tell_more(console, len(blocks), "cohorts")
    started = {entry.reservation: entry.at for entry in account.entries if entry.kind == "reserve"}
    walks = [_walk_row(record, started[place]) for place, record in read_book(account.entries).items()]
    if walks:
        console.print()
        table(console, ("since", "by walk", "on snapshot", "for", "ε", "until"), walks[-_NEWEST:], right=("ε",))
        _tell_more(console, len(walks), "walks; `ledger history` lists all")


def _walk_row(record: "WalkRecord", since: str) -> tuple[str, ...]:
    """When, by which walk, on which snapshot, for what, how much, until when."""
    reservation = record.reservation
    stages = list(dict.fromkeys(line.stage for line in reservation.charge.lines))
    until = {
        "reserved": "read or released",
        "read": "for good (read, not finished)",
        "committed": "for good",
        "released": "given back",
    }[record.status]
    cost = f"{number(record.epsilon)} (δ = {number(reservation.charge.delta)})"
    return (
        since[:16].replace("T", " "),
        reservation.key.walk_id[:12],
        reservation.key.snapshot,
        " + ".join(stages) or "walk",
        cost,
        until,
    )


def _render_history(console: "Console", entries: tuple["Entry", ...]) -> None:
    if not entries:
        console.print("No entries yet.")
        return
    rows = [
        (
            str(entry.sequence),
            entry.at[:19].replace("T", " "),
            entry.dataset,
            entry.cohort,
            entry.kind,
            _what(entry),
            entry.digest[:12],
        )
        for entry in entries
    ]
    table(console, ("#", "at (UTC)", "dataset", "cohort", "entry", "what", "digest"), rows, right=("#",))


def _what(entry: "Entry") -> str:
    body: Any = entry.body
    match entry.kind:
        case "reserve":
            return f"ε = {number(body['charge']['epsilon'])} for walk {body['key']['walk_id'][:12]} of {body['key']['snapshot']}"
        case "read":
            return f"{body['stage']} of #{entry.reservation}"
        case "commit":
            return f"ε = {number(body['epsilon'])} by {len(body['events'])} measurements, of #{entry.reservation}"
        case _:
            return f"#{entry.reservation}: {body['reason']}"


def _tell_more(console: "Console", count: int, what: str) -> None:
    if count > _NEWEST:
        console.print(f"({_NEWEST} of {count} {what})")


def _cap(account: "Account") -> str:
    return f"ε = {number(account.cap.epsilon)} (δ = {number(account.cap.delta)})"
