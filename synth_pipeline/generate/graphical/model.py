"""A fitted graphical model as a generator: rows, rows under a condition, files."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.errors import ConstraintError, ModelError
from synth_pipeline.generate.graphical.beliefs import Beliefs, marginal
from synth_pipeline.generate.graphical.compress import Compression, draw_member
from synth_pipeline.generate.graphical.condition import boxes, make_parts
from synth_pipeline.generate.graphical.draw import draw_rows, with_evidence
from synth_pipeline.generate.graphical.junction import JunctionTree
from synth_pipeline.generate.protocol import MechanismConfig
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.table.encoded import Domain, EncodedTable

_CHUNK_ROWS = 1 << 18
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GraphicalModel:
    """A calibrated junction tree over compressed codes; everything in it is released.

    Attributes:
        kind: the engine that fitted it.
        domain: the encoded columns.
        beliefs: marginals of the tree's cliques.
        compression: which codes share a code of the tree.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the fit.
    """

    kind: str
    domain: Domain
    beliefs: Beliefs
    compression: Compression
    config: MechanismConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition they follow the model's exact conditional law and every one satisfies it.

        Raises:
            ConstraintError: if the condition has no probability under the model, or falls into too many cases.
        """
        if where is None:
            starts = range(0, max(rows, 1), _CHUNK_ROWS)
            parts = [
                self._decompressed(draw_rows(self.beliefs, min(_CHUNK_ROWS, rows - start), rng), rng)
                for start in starts
            ]
            return EncodedTable(np.concatenate(parts), self.domain)
        return self._sample_where(rows, where, rng)

    def save(self, folder: Path) -> None:
        """Write `graphical.safetensors` and `graphical.json` into an existing folder."""
        tree = self.beliefs.tree
        arrays = {
            **{f"clique_{index}": table.astype(np.float32) for index, table in enumerate(self.beliefs.cliques)},
            **{f"groups_{index}": groups for index, groups in enumerate(self.compression.groups)},
            **{f"shares_{index}": shares for index, shares in enumerate(self.compression.shares)},
        }
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(folder / "graphical.safetensors")
        )
        content = {
            "kind": self.kind,
            "names": self.domain.names,
            "sizes": self.domain.sizes,
            "cliques": tree.cliques,
            "parents": tree.parents,
            "separators": tree.separators,
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
        }
        (folder / "graphical.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _sample_where(self, rows: int, where: Condition, rng: np.random.Generator) -> EncodedTable:
        cases = [make_parts(where, self.compression, box) for box in boxes(where.allowed)]
        evidence = [{part.column: part.evidence for part in case} for case in cases]
        chances = np.array([with_evidence(self.beliefs, item)[1] for item in evidence])
        if not chances.sum() > 0:
            raise ConstraintError(
                "condition: no row of the released model satisfies it; widen it or check the values it compares with"
            )
        codes: list[npt.NDArray[np.int32]] = []
        regions: list[Ints] = []
        counts = rng.multinomial(rows, chances / chances.sum())
        for case, item, count in zip(cases, evidence, counts, strict=True):
            if count == 0 and len(codes) > 0:
                continue
            groups = draw_rows(with_evidence(self.beliefs, item)[0], int(count), rng)
            found, inside = self._decompressed(groups, rng), np.empty((count, len(case)), dtype=np.int64)
            for axis, part in enumerate(case):
                chosen = draw_member(part.group, part.weight, groups[:, part.column], rng)
                found[:, part.column], inside[:, axis] = part.code[chosen], part.region[chosen]
            codes.append(found)
            regions.append(inside)
        order = rng.permutation(rows)
        placed = np.concatenate(regions)[order].astype(np.int32)
        named = {sub.column: placed[:, axis] for axis, sub in enumerate(where.subdomains)}
        return EncodedTable(np.concatenate(codes)[order], self.domain, named)

    def _decompressed(self, groups: Ints, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """Codes for rows of model codes, drawn by share where several codes were merged."""
        pairs = zip(self.compression.groups, self.compression.shares, strict=True)
        columns = [draw_member(of, share, groups[:, index], rng) for index, (of, share) in enumerate(pairs)]
        return np.stack(columns, axis=1).astype(np.int32)


def rounded(beliefs: Beliefs) -> Beliefs:
    """The beliefs as they will be read back from a file, in single precision."""
    tables = [table.astype(np.float32).astype(np.float64) for table in beliefs.cliques]
    return _with_separators(beliefs.tree, tables)


def load_model(folder: Path, *, kind: str, read_config: Callable[[dict[str, Any]], MechanismConfig]) -> GraphicalModel:
    """The generator that `GraphicalModel.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged, or of another engine.
    """
    try:
        content = json.loads((folder / "graphical.json").read_text(encoding="utf-8"))
        if content["kind"] != kind:
            raise ValueError(content["kind"])
        arrays = load_file(str(folder / "graphical.safetensors"))
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        columns = range(len(domain))
        compression = Compression(
            tuple(arrays[f"groups_{index}"] for index in columns), tuple(arrays[f"shares_{index}"] for index in columns)
        )
        cliques, separators = (tuple(tuple(part) for part in content[name]) for name in ("cliques", "separators"))
        tree = JunctionTree(compression.sizes, cliques, tuple(content["parents"]), separators)
        tables = [arrays[f"clique_{index}"].astype(np.float64) for index in range(len(cliques))]
        events = tuple(event_from_dict(item) for item in content["events"])
        config, facts = read_config(content["config"]), content["facts"]
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(f"{folder}: not a readable {kind} model ({type(error).__name__}); fit it again") from None
    return GraphicalModel(kind, domain, _with_separators(tree, tables), compression, config, events, facts)


def _with_separators(tree: JunctionTree, tables: list[npt.NDArray[np.float64]]) -> Beliefs:
    parts = zip(tables, tree.cliques, tree.separators, strict=True)
    return Beliefs(tree, tables, [marginal(table, clique, separator) for table, clique, separator in parts])
