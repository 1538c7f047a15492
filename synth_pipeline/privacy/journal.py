"""The answer journal: each answer of a stage is on disk before it is given, so a stage whose process was killed can go on.

A stage that is run again would draw fresh noise: a second answer to each question for one charge. So the first run writes every answer
down before anybody sees it, and a second one is given the same answers to the same questions; what the first did not get to is asked then,
for the first time. What leaves is one transcript, as of a run that was never cut off (docs/proofs/resuming.md).

Belongs here: the file, its lock, replaying. Does not: charges (desk), or whether a walk may be gone on with (the walk and its ledger).

The file lies in the private zone, for its owner alone: beside released answers it holds digests of true ones, and the secret of the words
that DP-SGD and teachers draw. It is removed once the stage's result is stored.
"""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.ledger.contract import WalkKey
from synth_pipeline.privacy.secure_stream import keystream

Answer: TypeAlias = npt.NDArray[np.int64] | int | tuple[str, ...]
_Answer = TypeVar("_Answer", bound=Answer)

_SUFFIX = ".journal"
_LENGTH, _DIGEST = 4, 32
_START = bytes(_DIGEST)
_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class StageKey:
    """What must be the same for a stage to be gone on with.

    Attributes:
        walk: the walk's key in the ledger: dataset, snapshot, specification, version of the code, attempt.
        reservation: number of its reservation.
        stage: the stage that asks.
        fingerprint: keyed fingerprint of the snapshot.
    """

    walk: WalkKey
    reservation: int
    stage: str
    fingerprint: str

    @property
    def where(self) -> str:
        """Where a refusal points."""
        return f"{self.walk.dataset}/{self.stage} of {self.walk.snapshot}"

    def file(self, folder: Path) -> Path:
        """The journal's file: one a stage of a walk, whatever the snapshot is called."""
        return _folder_of(folder, self.walk) / f"{_walk_digest(self.walk)}.{self.stage}{_SUFFIX}"


@dataclass(frozen=True, eq=False)
class Question:
    """A question as it reaches the desk.

    Attributes:
        kind: "counts", "choice", "keys", "batches" or "step".
        about: its parameters, all public: the event that is charged, sizes, sensitivity.
        truth: what it comes to before noise; only a digest of it is kept, so that another question of the same name is noticed.
    """

    kind: str
    about: Mapping[str, Any]
    truth: npt.NDArray[Any] | Mapping[str, int] | bytes

    @property
    def label(self) -> str:
        """The question in words, for a refusal."""
        return " ".join(str(self.about[key]) for key in ("stage", "purpose") if self.about.get(key)) or self.kind

    def digest(self) -> str:
        """SHA-256 of everything about it."""
        text = json.dumps([self.kind, self.about], sort_keys=True).encode()
        return hashlib.sha256(len(text).to_bytes(8, "big") + text + _bytes_of(self.truth)).hexdigest()


@dataclass(eq=False)
class AnswerJournal:
    """The open journal of one stage; made by `open_journal`, whose block holds its lock.

    Attributes:
        key: which stage of which walk.
        seed: of the stage's post-processing; the same in every run of it.
        is_resumed: whether an earlier run began it.
        secret: key of the words that DP-SGD and teachers draw.
        replayed: answers that an earlier run was given.
    """

    key: StageKey
    seed: int
    is_resumed: bool
    secret: bytes = field(repr=False)
    replayed: tuple[dict[str, Any], ...] = field(repr=False)
    _file: "_File" = field(repr=False)
    _place: int = 0
    _blocks: int = 0

    @property
    def is_replaying(self) -> bool:
        """Whether the next question was answered before."""
        return self._place < len(self.replayed)

    def answer(self, question: Question, draw: Callable[[], _Answer]) -> _Answer:
        """The recorded answer, or a fresh one, which is on disk when this returns.

        Args:
            question: what is asked.
            draw: gives the answer to a question that was not asked before.

        Raises:
            LedgerError: if an earlier run asked something else here.
            OSError: if the answer cannot be written; then nobody has seen it.
        """
        if self.is_replaying:
            record = self.replayed[self._place]
            if record["digest"] != question.digest():
                raise LedgerError(self._differs(record["label"], question.label))
            answer = _decoded(record["answer"])
        else:
            answer = draw()
            record = {"label": question.label, "digest": question.digest(), "answer": _encoded(answer)}
            self._file.append(record)
        self._place += 1
        return cast("_Answer", answer)

    def words(self, size: int) -> npt.NDArray[np.uint64]:
        """Uniform words of 64 bits: AES-256 in counter mode under the journal's secret, so that a later run draws the same ones."""
        stream = keystream(self.secret, self._blocks.to_bytes(16, "big"), 8 * size)
        self._blocks += -(-size // 2)
        return np.frombuffer(stream, dtype="<u8").astype(np.uint64, copy=False)

    def _differs(self, before: str, now: str) -> str:
        first = "" if before == now else f" (“{now}” in place of “{before}”)"
        return (
            f"{self.key.where}: question {self._place + 1} is not the one that the run before was asked{first}; another machine or library "
            f"computes otherwise, so it cannot be gone on with. The walk stays charged (reservation {self.key.reservation}): materialize "
            f"{self.key.walk.dataset}/real_snapshot, which opens a new walk"
        )


@contextmanager
def open_journal(
    folder: Path, key: StageKey, *, seed: int | None = None, patience_seconds: float = _PATIENCE_SECONDS
) -> Generator[AnswerJournal]:
    """The journal of a stage, begun or gone on with; no other process has it meanwhile.

    It is on disk before the block begins, hence before the ledger is told that rows are read: a stage that has read has a journal.

    Args:
        folder: where journals lie, in the private zone.
        key: which stage of which walk.
        seed: of post-processing, where this run begins it; None: drawn.
        patience_seconds: how long to wait for another process that has it, such as one that is being killed.

    Raises:
        LedgerError: if another process has it, or it belongs to another walk or snapshot, or is damaged.
    """
    path = key.file(folder)
    for place in (
        folder,
        path.parent.parent,
        path.parent,
    ):  # one by one: a mode is for the last folder that is made only
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = _locked(path, key, patience_seconds)
    try:
        file = _File(descriptor, path)
        records = file.read()
        is_resumed = bool(records)
        if not is_resumed:
            records.append(_head(key, seed))
            file.append(records[0])
            _sync_folder(path.parent)
        head = records[0]
        if head.get("key") != _plain(key):
            raise LedgerError(
                f"{key.where}: the journal of this walk is about another snapshot or reservation; the walk stays charged: materialize "
                f"{key.walk.dataset}/real_snapshot, which opens a new walk"
            )
        yield AnswerJournal(key, head["seed"], is_resumed, bytes.fromhex(head["secret"]), tuple(records[1:]), file)
    finally:
        os.close(descriptor)


def has_journal(folder: Path | None, walk: WalkKey, stage: str) -> bool:
    """Whether a stage of a walk has begun and its result was not yet seen stored."""
    return folder is not None and StageKey(walk, 0, stage, "").file(folder).exists()


def remove_journals(folder: Path, walk: WalkKey, *, stage: str | None = None) -> int:
    """Remove the journals of a walk whose results are stored; one that a process has open stays. Returns how many went."""
    return _remove(_folder_of(folder, walk).glob(f"{_walk_digest(walk)}.{stage or '*'}{_SUFFIX}"))


def sweep_journals(folder: Path, walk: WalkKey) -> int:
    """Remove the journals that other walks of the same snapshot left: it is being taken anew. Returns how many went."""
    kept = _walk_digest(walk)
    return _remove(path for path in _folder_of(folder, walk).glob(f"*{_SUFFIX}") if not path.name.startswith(kept))


class _File:
    """Records in a file, each with its length and a digest of it and all before it; added one by one, on disk each time."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path
        self._end, self._last, self._is_broken = 0, _START, False

    def read(self) -> list[dict[str, Any]]:
        """Every whole record; a last one that a kill left in part is cut off, for its answer was never given.

        Raises:
            LedgerError: if a record before the last is damaged.
        """
        content = _read_all(self._descriptor)
        records: list[dict[str, Any]] = []
        while self._end < len(content):
            payload = _payload_at(content, self._end, self._last)
            if payload is None:
                self._require_torn(content)
                break
            records.append(json.loads(payload))
            self._end += _LENGTH + len(payload) + _DIGEST
            self._last = hashlib.sha256(self._last + payload).digest()
        os.ftruncate(self._descriptor, self._end)
        return records

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; on disk when this returns.

        Raises:
            OSError: if it cannot be written; the file is as before, or not used again by this process.
        """
        if self._is_broken:
            raise OSError(f"{self._path.name}: an answer could not be written before; nothing more is asked")
        payload = json.dumps(record).encode()
        digest = hashlib.sha256(self._last + payload).digest()
        frame = len(payload).to_bytes(_LENGTH, "big") + payload + digest
        try:
            self._is_broken = True
            done = 0
            while done < len(frame):
                done += os.pwrite(self._descriptor, frame[done:], self._end + done)
            os.fsync(self._descriptor)
            self._is_broken = False
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            raise
        self._end, self._last = self._end + len(frame), digest

    def _require_torn(self, content: bytes) -> None:
        """What a kill leaves is a beginning of one record, or a stretch that was never filled; anything else is damage."""
        rest = content[self._end :]
        is_cut = len(rest) < _LENGTH + _DIGEST or self._end + _LENGTH + int.from_bytes(
            rest[:_LENGTH], "big"
        ) + _DIGEST > len(content)
        if not is_cut and rest.strip(b"\0"):
            raise LedgerError(
                f"journal {self._path.name}: it is damaged before its end, so what was answered is not known; the walk stays charged: "
                "materialize real_snapshot, which opens a new walk"
            )


def _payload_at(content: bytes, start: int, last: bytes) -> bytes | None:
    """The record that begins at a place, or None where there is no whole one."""
    size = int.from_bytes(content[start : start + _LENGTH], "big")
    payload = content[start + _LENGTH : start + _LENGTH + size]
    digest = content[start + _LENGTH + size : start + _LENGTH + size + _DIGEST]
    is_whole = size > 0 and len(payload) == size and digest == hashlib.sha256(last + payload).digest()
    return payload if is_whole else None


def _locked(path: Path, key: StageKey, patience_seconds: float) -> int:
    """A descriptor of the file, made if need be, with its lock; the lock goes with the process, however that ends."""
    until = time.monotonic() + patience_seconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):  # else: removed while we waited
                return descriptor
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise LedgerError(
                    f"{key.where}: another process is at this stage of the walk (reservation {key.reservation}); wait for it, or end it"
                ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(_POLL_SECONDS)


def _remove(paths: "Generator[Path] | Any") -> int:
    removed = 0
    for path in list(paths):
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            removed += 1
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return removed


def _folder_of(folder: Path, walk: WalkKey) -> Path:
    """Journals of one snapshot lie together; its name need be none of a folder."""
    return folder / walk.dataset / hashlib.sha256(walk.snapshot.encode()).hexdigest()[:24]


def _walk_digest(walk: WalkKey) -> str:
    return hashlib.sha256(json.dumps(asdict(walk), sort_keys=True).encode()).hexdigest()[:32]


def _head(key: StageKey, seed: int | None) -> dict[str, Any]:
    drawn = secrets.randbits(63) if seed is None else seed
    return {"key": _plain(key), "seed": drawn, "secret": secrets.token_hex(32)}


def _plain(key: StageKey) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(key)))


def _bytes_of(truth: npt.NDArray[Any] | Mapping[str, int] | bytes) -> bytes:
    if isinstance(truth, bytes):
        return truth
    if isinstance(truth, Mapping):
        return json.dumps(truth, sort_keys=True).encode()
    return f"{truth.dtype.str}{truth.shape}".encode() + np.ascontiguousarray(truth).tobytes()


def _encoded(answer: Answer) -> Any:
    if isinstance(answer, np.ndarray):
        return {"integers": base64.b64encode(answer.astype("<i8").tobytes()).decode()}
    return {"index": int(answer)} if isinstance(answer, int) else {"keys": list(answer)}


def _decoded(answer: Mapping[str, Any]) -> Answer:
    if "integers" in answer:
        return np.frombuffer(base64.b64decode(answer["integers"]), dtype="<i8").astype(np.int64)
    return int(answer["index"]) if "index" in answer else tuple(answer["keys"])


def _read_all(descriptor: int) -> bytes:
    size, parts, place = os.fstat(descriptor).st_size, [], 0
    while place < size:
        part = os.pread(descriptor, size - place, place)
        if not part:
            break
        parts.append(part)
        place += len(part)
    return b"".join(parts)


def _sync_folder(folder: Path) -> None:
    """Have the file's name on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
