"""A home with signed releases of the dataset `clinic`, the ledger of their walks, and the keys of three people; made without walking."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from synth_pipeline.integrations.approvals import KeptRelease, decide, find_release, standing
from synth_pipeline.integrations.stores import Home
from synth_pipeline.privacy.accounting import gaussian_mu
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Cap, Charge, Entry, WalkKey, open_ledger
from synth_pipeline.release.approval import State, Wish, sign
from synth_pipeline.release.keys import key_id, read_private_key
from synth_pipeline_tests.signed_example import PASSPHRASE, Keys, make_keys, small_bundle

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
"""After the last day of `APPROVAL`."""
APPROVAL = Wish("approve", "teaching", "", date(2026, 12, 31))
WITHDRAWAL = Wish("withdraw", "described wrongly")
_DELTA = 1e-6


@dataclass(frozen=True)
class World:
    """A home, and who may do what in it."""

    home: Home
    keys: Keys

    def private_key(self, who: str):
        """The private half of a key."""
        return _private_key(getattr(self.keys, who).key_path)

    def name_of(self, who: str) -> str:
        """Id of a key."""
        return key_id(self.private_key(who).public_key())

    def release(self, snapshot: str) -> KeptRelease:
        """The release of a snapshot."""
        return find_release(self.home, f"clinic/{snapshot}-1")

    def add_release(
        self, snapshot: str, *, is_signed: bool = True, created: str = "2026-05-01", **facts
    ) -> KeptRelease:
        """A release of a snapshot, made by walk `walk-of-<snapshot>`, which the ledger knows; further facts replace the example's."""
        ledger = open_ledger(self.home.ledger, clock=lambda: datetime(2026, 5, 1, tzinfo=UTC))
        charge = Charge((GaussianPoolEvent(gaussian_mu(0.5, _DELTA) ** 2),), 0.5, _DELTA)
        key = WalkKey("clinic", snapshot, "digest", "1.0", f"walk-of-{snapshot}")
        walk = ledger.reserve(key, charge, cap=Cap(9.0, _DELTA))
        ledger.mark_read(walk)
        ledger.commit(walk, charge.events, 0.5)
        return self.make_bundle(snapshot, is_signed=is_signed, created=created, **facts)

    def make_bundle(
        self, snapshot: str, *, is_signed: bool = True, created: str = "2026-05-01", **facts
    ) -> KeptRelease:
        """The bundle of a walk, as its release step makes and keeps it."""
        folder = self.home.releases / "clinic" / f"{snapshot}-1"
        changes = {"ledger_entry": f"clinic/{snapshot}/walk-of-{snapshot}", "created_at": f"{created}T00:00:00+00:00"}
        self.home.keep_release(small_bundle(folder, self.keys.requester if is_signed else None, **changes, **facts))
        return self.release(snapshot)

    def signed(self, snapshot: str, wish: Wish, who: str = "approver", **changes) -> bytes:
        """A statement about the release of a snapshot."""
        subject = replace(self.release(snapshot).subject, **changes)
        return sign(subject, wish, self.private_key(who), now=NOW)

    def decide(
        self,
        wish: Wish = APPROVAL,
        snapshot: str = "a",
        *,
        who: str = "approver",
        approvers: Sequence[str] = (),
        now: datetime = NOW,
    ) -> Entry:
        """Somebody's decision about the release of a snapshot, kept in the ledger's chain."""
        return decide(self.home, self.release(snapshot), self.signed(snapshot, wish, who), approvers=approvers, now=now)

    def state(self, snapshot: str = "a", now: datetime = NOW) -> State:
        """The state of the release of a snapshot."""
        return standing(self.home, self.release(snapshot), now=now).state


def make_released_world(folder: Path, *snapshots: str) -> World:
    """A fresh home with a release of each snapshot, a day apart, to copy a world of one's own from."""
    world = make_world(folder / "home")
    for number, snapshot in enumerate(snapshots, 1):
        world.add_release(snapshot, created=f"2026-05-{number:02}")
    return world


def copy_world(world: World, folder: Path) -> World:
    """The same home once more, in another folder; nothing in it names where it lies."""
    return World(Home.at(shutil.copytree(world.home.folder, folder, symlinks=True)), world.keys)


def make_world(folder: Path) -> World:
    """A fresh home whose keys lie where an installation keeps them."""
    home, keys = Home.at(folder).make(), _keys()
    (home.folder / "keys").mkdir(mode=0o700)
    for signer in (keys.requester, keys.approver, keys.stranger):
        for path in (signer.key_path, signer.key_path.with_name(f"{signer.key_path.name}.pub")):
            shutil.copy2(path, home.folder / "keys" / path.name)
    return World(home, keys)


@cache
def _keys() -> Keys:
    """The keys of this process: each takes a third of a second to make, and as long to open."""
    return make_keys(Path(tempfile.mkdtemp(prefix="keys_of_tests_")))


@cache
def _private_key(path: Path):
    return read_private_key(path, PASSPHRASE)
