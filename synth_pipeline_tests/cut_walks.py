"""Walks with answer journals that are cut off in this process after a number of answers, and what a walk released, to compare."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synth_pipeline import reserve
from synth_pipeline import walk as stages
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy import journal as journal_module
from synth_pipeline.privacy.journal import AnswerJournal
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.audited_table import audited_frame, audited_spec, small_engine

KEY = b"k" * 32


class Cut(BaseException):
    """Stands for SIGKILL: nothing of ours catches it, and nothing is done after it but closing files, as the system does."""


class ForeseenNoise:
    """Noise that hangs on the request alone, so that a question gets the same noise in whichever run it is asked; draws are counted."""

    drawn = 0

    def discrete_gaussian(self, size, sigma):
        type(self).drawn += 1
        return np.rint(np.random.default_rng([size, int(sigma * 1e6)]).normal(0, sigma, size)).astype(np.int64)

    def exponential_choice(self, scores, scale):
        type(self).drawn += 1
        return int(np.argmax(scores / scale + np.random.default_rng(scores.size).gumbel(size=scores.size)))

    def words(self, size):
        raise AssertionError("a journaled stage draws its words from its journal")


@dataclass
class Bench:
    """A ledger and a folder of journals, and walks over one table; `spec.dataset` has one of them at a time.

    Attributes:
        folder: where both lie.
        kind: the engine.
        max_rows: most rows of a person.
    """

    folder: Path
    kind: str
    max_rows: int = 1

    @property
    def journals(self):
        return self.folder / "journals"

    @property
    def ledger(self):
        return open_ledger(self.folder / "ledger.sqlite")

    @property
    def spec(self):
        return audited_spec(self.kind, max_rows=self.max_rows)

    def open(self, walk_id="w"):
        walk = reserve.open_walk(self.spec, snapshot="s", ledger=self.ledger, walk_id=walk_id)
        return replace(walk, journals=self.journals)

    def resume(self, walk_id="w"):
        return reserve.resume_walk(self.spec, snapshot="s", ledger=self.ledger, walk_id=walk_id, journals=self.journals)

    def run(self, walk, *, seed=None):
        """Both charged stages; what they release, as digests."""
        taken = stages.take(walk, audited_frame(120, 5, max_rows=self.max_rows), key=KEY, holdout=False)
        profiled = stages.profile(walk, taken, runtime=RuntimeConfig(seed=seed))
        model = stages.train(walk, taken, profiled, runtime=RuntimeConfig(seed=seed))
        saved = self.folder / f"saved-{len(list(self.folder.iterdir()))}"
        saved.mkdir()
        model.generator.save(saved)
        return {
            "profile": digest(json.dumps(profiled.profile.to_json(), sort_keys=True).encode()),
            "events": repr(model.events),
            **{
                path.relative_to(saved).as_posix(): digest(path.read_bytes())
                for path in sorted(saved.rglob("*"))
                if path.is_file()
            },
        }

    def kinds(self):
        return [entry.kind for entry in self.ledger.history()]


def digest(content):
    return hashlib.sha256(content).hexdigest()


def foreseen(patch):
    """All noise of curators is foreseen, and journals begin with one secret; the count starts at 0."""
    ForeseenNoise.drawn = 0
    patch.setattr(reserve, "SecureNoise", ForeseenNoise)
    patch.setattr(stages, "engine_for", small_engine)
    patch.setattr(journal_module.secrets, "token_hex", lambda size: "5a" * size)


def cut_after(patch, answers, *, torn=False):
    """The process dies when a stage has had so many answers from this run: the last is on disk, whole or torn, and nobody has seen it."""
    real, given = AnswerJournal.answer, [0]

    def answer(journal, question, draw):
        found = real(journal, question, draw)
        given[0] += 1
        if given[0] > answers:
            if torn:
                file = journal._file
                journal_path = file._path
                with journal_path.open("r+b") as handle:
                    handle.truncate(file._end - 7)
            raise Cut
        return found

    patch.setattr(AnswerJournal, "answer", answer)
