"""The ledger for people: one screen that says spent, reserved, left, by whom, on whom, for what, until when."""

from typing import TYPE_CHECKING, Any

from synth_pipeline.cli.output import number, table

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.privacy.ledger import Account, BlockAccount, Entry, Ledger, WalkRecord

_NEWEST = 12
_NEWEST_NARROW = 6
_WIDE = 110
"""Columns from which on a walk fits on one line, and an entry with its digest."""
_MOST_NAMED = 8
_BAR_CELLS = 40
_UNTIL = {
    "reserved": "read or released",
    "read": "for good (read, not finished)",
    "committed": "for good",
    "released": "given back",
}
_FIGURES = ("spent ε", "reserved ε", "left ε")


def render_accounts(console: "Console", store: "Ledger", accounts: list["Account"]) -> None:
    """Print a line for each dataset."""
    if not accounts:
        console.print(f"{store.place}: nothing was charged yet.", soft_wrap=True)
        return
    rows = [
        (
            account.dataset,
            *map(number, (account.spent_epsilon, account.reserved_epsilon, account.left_epsilon)),
            _cap(account),
            _renewal(account),
        )
        for account in accounts
    ]
    table(console, ("dataset", *_FIGURES, "cap", "renews"), rows, right=_FIGURES)


def render_account(console: "Console", account: "Account") -> None:
    """Print one dataset's budget, blocks and walks on one screen."""
    console.print(
        f"{account.dataset}: ε = {number(account.spent_epsilon)} spent, {number(account.reserved_epsilon)} reserved,"
        f" {number(account.left_epsilon)} left of the cap {_cap(account)}, which {_sentence(account)}.",
        soft_wrap=True,
    )
    console.print(cap_bar(account), soft_wrap=True)
    if account.cap.period is not None:
        whole = account.cap.lifetime_epsilon
        bound = "no cap: it grows with every period" if whole is None else f"cap ε = {number(whole)}"
        console.print(f"All periods together: ε = {number(account.lifetime_epsilon)}; {bound}.", soft_wrap=True)
    if account.entries:
        console.print()
        _render_blocks(console, account)
    if account.walks:
        console.print()
        _render_walks(console, account)


def render_history(console: "Console", entries: tuple["Entry", ...]) -> None:
    """Print every entry."""
    if not entries:
        console.print("No entries yet.")
        return
    if console.width < _WIDE:
        rows = [(str(e.sequence), e.at[:16].replace("T", " "), e.dataset, f"{e.kind}: {_what(e)}") for e in entries]
        table(console, ("#", "at (UTC)", "dataset", "what"), rows, right=("#",))
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
    table(console, ("#", "at (UTC)", "dataset", "people", "entry", "what", "digest"), rows, right=("#",))


def cap_bar(account: "Account") -> str:
    """The cap as a bar: spent, reserved, and the rest.

    Cells are shares of the cap's ε; a part that is not zero gets at least one.
    """
    cap = account.cap.epsilon
    spent = min(_cells(account.spent_epsilon, cap), _BAR_CELLS)
    reserved = min(_cells(account.reserved_epsilon, cap), _BAR_CELLS - spent)
    return f"[{'█' * spent}{'▒' * reserved}{'·' * (_BAR_CELLS - spent - reserved)}] █ spent  ▒ reserved"


def _cells(epsilon: float, cap: float) -> int:
    return 0 if epsilon <= 0 else max(1, round(_BAR_CELLS * min(epsilon / cap, 1.0)))


def _render_blocks(console: "Console", account: "Account") -> None:
    worst = sorted(account.blocks, key=lambda block: -(block.spent_epsilon + block.reserved_epsilon))
    has_period = account.cap.period is not None
    rows = [_block_row(block, has_period=has_period) for block in worst[:_NEWEST]]
    last = ("ever ε",) if has_period else ()
    table(console, ("people (block)", *_FIGURES, *last), rows, right=(*_FIGURES, *last))
    _tell_more(console, len(worst), "blocks, the most loaded first")


def _block_row(block: "BlockAccount", *, has_period: bool) -> tuple[str, ...]:
    figures = (block.spent_epsilon, block.reserved_epsilon, block.left_epsilon)
    ever = (block.lifetime_epsilon,) if has_period else ()
    return (block.cohort, *map(number, (*figures, *ever)))


def _render_walks(console: "Console", account: "Account") -> None:
    """The newest walks, and the numbers of older ones that wait to be ended: one line each, or two where the screen is narrow."""
    is_narrow = console.width < _WIDE
    newest = account.walks[-(_NEWEST_NARROW if is_narrow else _NEWEST) :]
    rows = [_walk_row(record) for record in newest]
    if is_narrow:
        for number_, since, by, walk, snapshot, people, purpose, epsilon, until in rows:
            console.print(f"#{number_}  {since}  {by}  walk {walk}  {until}", soft_wrap=True)
            console.print(f"    ε = {epsilon}  {people} of {snapshot}, for {purpose}", soft_wrap=True)
    else:
        headings = ("#", "since", "by", "walk", "on snapshot", "people", "for", "ε", "until")
        table(console, headings, rows, right=("#", "ε"))
    older = account.walks[: -len(newest)]
    if older:
        waiting = [f"#{record.reservation.number}" for record in older if record.closed is None]
        more = ", …" if len(waiting) > _MOST_NAMED else ""
        still = f"; of the others {len(waiting)} are open: {', '.join(waiting[:_MOST_NAMED])}{more}" if waiting else ""
        listed = f"`ledger history {account.dataset}` lists all"
        console.print(f"({len(newest)} newest of {len(account.walks)} walks{still}; {listed})", soft_wrap=True)


def _walk_row(record: "WalkRecord") -> tuple[str, ...]:
    """Number, when, by whom, which walk, on which snapshot and people, for what, how much, until when."""
    reservation = record.reservation
    stages = list(dict.fromkeys(line.stage for line in reservation.charge.lines))
    return (
        str(reservation.number),
        record.since[:16].replace("T", " "),
        reservation.by or "not recorded",
        reservation.key.walk_id[:12],
        reservation.key.snapshot,
        reservation.cohort,
        " + ".join(stages) or "walk",
        f"{number(record.epsilon)} (δ = {number(reservation.charge.delta)})",
        _UNTIL[record.status],
    )


def _what(entry: "Entry") -> str:
    body: Any = entry.body
    match entry.kind:
        case "reserve":
            by = f" by {body['by']}" if body.get("by") else ""
            return f"ε = {number(body['charge']['epsilon'])} for walk {body['key']['walk_id'][:12]} of {body['key']['snapshot']}{by}"
        case "read":
            return f"{body['stage']} of #{entry.reservation}"
        case "commit" if "reason" in body:
            return f"#{entry.reservation} closed at ε = {number(body['epsilon'])}: {body['reason']}"
        case "commit":
            return f"ε = {number(body['epsilon'])} by {len(body['events'])} measurements, of #{entry.reservation}"
        case "record":
            return _recorded(body)
        case _:
            return f"#{entry.reservation}: {body['reason']}"


def _recorded(body: Any) -> str:
    """What was recorded: the word for it, of what, by which key, and why; a body of another program's is told by its word."""
    by = f" by key {body['key'][:12]}" if body.get("key") else ""
    why = f": {body['words']}" if body.get("words") else ""
    return f"{body['what']} {body.get('release', '')}{by}{why}"


def _tell_more(console: "Console", count: int, what: str) -> None:
    if count > _NEWEST:
        console.print(f"({_NEWEST} of {count} {what})")


def _cap(account: "Account") -> str:
    return f"ε = {number(account.cap.epsilon)} (δ = {number(account.cap.delta)})"


def _renewal(account: "Account") -> str:
    return "never" if account.until is None else f"{account.until[:10]} (each {account.cap.period})"


def _sentence(account: "Account") -> str:
    if account.until is None:
        return "never renews"
    return f"renews at {account.until[:16].replace('T', ' ')} UTC (period: {account.cap.period})"
