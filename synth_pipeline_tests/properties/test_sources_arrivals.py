"""Whatever is put, overwritten, restored, still being written or removed between looks, every settled content is given out exactly once.

Looks may be lost (the process died after it had noted what it found), cursors may be reset, and a look gives out two contents at most.
"""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synth_pipeline.integrations.sources import Arrival
from synth_pipeline.integrations.sources.folder import FolderSource
from synth_pipeline.integrations.sources.news import Position, Watched, watch
from synth_pipeline.integrations.stores import Home

NAMES = st.sampled_from(["a.parquet", "n/a.parquet", "n-a.parquet"])  # the last two look alike as partitions
MOST = 2


class AtomicFolder:
    """A folder whose files are whole once they are there, as objects in S3 are."""

    def __init__(self, folder):
        self.inner = folder

    @property
    def place(self):
        return self.inner.place

    def look(self):
        return (Arrival(one.name, one.stamp, changed=one.changed) for one in self.inner.look())

    def fetch(self, arrival, folder):
        return self.inner.fetch(arrival, folder)

    def confirm(self, arrival):
        self.inner.confirm(arrival)


class Arrivals(RuleBasedStateMachine):
    """Files come and go between looks; `looks` counts the looks that saw a content, `keys` has the run key of each that was given out."""

    is_atomic = False

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.home = Home.at(self.root / "home")
        self.folder = FolderSource(self.root / "in", "**/*.*", self.home.make().key())
        source = AtomicFolder(self.folder) if self.is_atomic else self.folder
        self.watched = Watched(source, self.home, "d", lambda _: None)
        self.clock, self.position = 10**6, Position()
        self.contents, self.older = {}, {}
        self.looks, self.keys, self.by_stamp = Counter(), {}, {}

    def teardown(self):
        shutil.rmtree(self.root)

    @initialize()
    def begin(self):
        (self.root / "in").mkdir()

    @rule(name=NAMES, is_late=st.booleans())
    def put(self, name, is_late):
        """A new content, which overwrites another; a late one carries a time before all others."""
        self.clock += 1
        self._write(name, (-self.clock if is_late else self.clock) + 10**9, self.clock % 7 + 1)

    @rule(name=NAMES)
    def grow_between_looks(self, name):
        """A content that is not whole at one look and another at the next."""
        for _ in range(2):
            self.put(name, is_late=False)
            self.look()

    @rule(name=NAMES)
    def restore(self, name):
        """The content that was there before the present one, time and all."""
        if name in self.older:
            self._write(name, *self.older[name])

    @rule(name=NAMES)
    def remove(self, name):
        if name in self.contents:
            (self.root / "in" / name).unlink()
            self.older[name] = self.contents.pop(name)

    @rule()
    def look(self):
        found = self._look()
        self._give_out(found)
        self.position = found.position

    @rule(is_given_out=st.booleans())
    def lose_a_look(self, is_given_out):
        """The process dies before the cursor is kept: after its runs were begun, or before."""
        found = self._look()
        if is_given_out:
            self._give_out(found)

    @rule()
    def reset_the_cursor(self):
        self.position = Position()

    @rule()
    def let_it_rest(self):
        """After looks at a source that rests, everything in it was given out."""
        for _ in range(len(self.contents) + 3):
            self.look()
        assert not [content for content in self.contents.items() if content not in self.keys]
        assert self.position.waiting == 0

    @invariant()
    def contents_and_run_keys_are_one_to_one(self):
        assert len(set(self.keys.values())) == len(self.keys)
        partitions = [key.partition(":")[0] for key in self.keys.values()]
        assert len(set(partitions)) == len(partitions)

    @invariant()
    def only_what_two_looks_saw_was_given_out(self):
        needed = 1 if self.is_atomic else 2
        assert all(self.looks[content] >= needed for content in self.keys)

    def _write(self, name, changed, size):
        path = self.root / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, ns=(changed, changed))
        if name in self.contents and self.contents[name] != (changed, size):
            self.older[name] = self.contents[name]
        self.contents[name] = (changed, size)
        self.by_stamp[self.folder.arrival(name).stamp] = (name, (changed, size))

    def _look(self):
        found = watch(self.watched, self.position, most=MOST)
        assert len(set(found.fresh)) == len(found.fresh) <= MOST
        self.looks.update(self.contents.items())
        return found

    def _give_out(self, found):
        for version in found.fresh:
            assert self.keys.setdefault(self.by_stamp[version.stamp], version.run_key) == version.run_key


class AtomicArrivals(Arrivals):
    """The same of a source whose contents are whole at once."""

    is_atomic = True


class OneAfterAnother(Arrivals):
    """The same where no look is lost and no cursor reset: then nothing at all is given out twice."""

    lose_a_look = reset_the_cursor = None

    def _give_out(self, found):
        assert not {version.run_key for version in found.fresh} & set(self.keys.values())
        super()._give_out(found)


OPTIONS = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestFiles = Arrivals.TestCase
TestFiles.settings = OPTIONS
TestObjects = AtomicArrivals.TestCase
TestObjects.settings = OPTIONS
TestInOrder = OneAfterAnother.TestCase
TestInOrder.settings = OPTIONS
