"""Cells of the benchmark: engine × ε × data set × seed, their names, their results on disk, and which are still to do.

Belongs here: what can be said without running anything. Does not: data sets (datasets), one run (cell), many runs (run), reading (table).
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = RESULTS / "scratch"
SHARED = ROOT.parent / "shared"
JUDGE = SHARED / "bench" / "score.py"

ENGINES = (
    "auto", "maxent", "mixture", "aim", "mst", "privbayes", "copula", "independent",
    "autoregressive", "hybrid", "vae", "gan", "diffusion", "pate_gan",
)  # fmt: skip
DATASETS = ("adult", "bank", "credit_default", "nist", "nist10", "bank-4k", "credit_default-4k", "bike", "gss")
EPSILONS = (0.3, 1.0, 3.0, 10.0)
SEEDS = (0, 1, 2)

_ROOT_MODULES = (
    "synth_pipeline.snapshot.take",
    "synth_pipeline.profile.build",
    "synth_pipeline.generate.plan",
    "synth_pipeline.release.model",
)
_LEFT_OUT = ("synth_pipeline.generate.engine_registry",)
"""The registry names every engine; a new line there changes no engine that was there before."""


@dataclass(frozen=True)
class Cell:
    """One fit to measure.

    Attributes:
        dataset: name of the data set, see `datasets.py`.
        engine: kind of generator.
        epsilon: ε of the whole walk.
        seed: number of the repeat. It seeds post-processing; the noise itself is fresh each time, as it is in every release.
        quick: whether the scores are the judge's quick ones.
    """

    dataset: str
    engine: str
    epsilon: float
    seed: int
    quick: bool = False

    @property
    def name(self) -> str:
        """Name of the cell, also of its file.

        Example:
            >>> Cell("bank-4k", "maxent", 1.0, 2).name
            'bank-4k.maxent.eps1.seed2'
        """
        return f"{self.dataset}.{self.engine}.eps{self.epsilon:g}.seed{self.seed}"

    def path(self, results: Path) -> Path:
        """Where its result is kept."""
        return results / ("quick" if self.quick else "full") / f"{self.name}.json"


@dataclass(frozen=True)
class Choice:
    """Subsets of the matrix.

    Attributes:
        engines: kinds of generator.
        datasets: names of data sets.
        epsilons: values of ε.
        seeds: numbers of repeats.
    """

    engines: tuple[str, ...]
    datasets: tuple[str, ...]
    epsilons: tuple[float, ...]
    seeds: tuple[int, ...]

    def cells(self, *, quick: bool) -> list[Cell]:
        """The cells, first repeats of everything before second ones, so that a run cut short has said something of all."""
        order = product(self.seeds, self.datasets, self.epsilons, self.engines)
        return [Cell(dataset, engine, epsilon, seed, quick) for seed, dataset, epsilon, engine in order]


def fingerprint(cell: Cell, *, code: str, spec: str, judge: str) -> str:
    """What a result stands for: the cell, the code that makes it, the specification and the judge."""
    content = json.dumps([asdict(cell), code, hashlib.sha256(spec.encode()).hexdigest(), judge])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def code_digest(engine_module: str, root: Path = ROOT) -> str:
    """Digest of every source file of ours that an engine's fit and sampling import, directly or not."""
    digest = hashlib.sha256()
    for path in sorted(imported_files([*_ROOT_MODULES, engine_module], root)):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def imported_files(modules: Iterable[str], root: Path) -> set[Path]:
    """Files of our package that modules import, followed through all of them, imports inside functions included."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _file_of(module, root)
        if path is None or path in found or module in _LEFT_OUT:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("synth_pipeline"):
                waiting += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [name.name for name in node.names if name.name.startswith("synth_pipeline")]
    return found


def read_result(path: Path) -> dict[str, Any] | None:
    """A result, or None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_result(path: Path, content: dict[str, Any]) -> None:
    """Write a result, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def is_finished(
    result: dict[str, Any] | None, wanted: str, *, keep_failed: bool = False, any_code: bool = False
) -> bool:
    """Whether a result answers its cell: measured by this very code, specification and judge.

    Args:
        result: what is on disk.
        wanted: fingerprint that the cell would have now.
        keep_failed: let a failure of the same code stand and do not try again.
        any_code: let results of older code stand.
    """
    if result is None or (result.get("status") != "done" and not keep_failed):
        return False
    return any_code or result.get("fingerprint") == wanted


def all_results(results: Path, *, quick: bool) -> list[dict[str, Any]]:
    """Every result of a mode that can be read, in the order of their names."""
    paths = sorted((results / ("quick" if quick else "full")).glob("*.json"))
    return [found for path in paths if (found := read_result(path)) is not None]


def chosen(text: str | None, every: Sequence[str], what: str) -> tuple[str, ...]:
    """Names given as a comma list, or all of them.

    Raises:
        ValueError: for a name that there is none of.
    """
    if text is None:
        return tuple(every)
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in names if name not in every]
    if unknown or not names:
        raise ValueError(f"{what}: {', '.join(unknown) or 'none given'}; there are {', '.join(every)}")
    return names


def _file_of(module: str, root: Path) -> Path | None:
    """The file of a module, or None for what is not one (a function that an import names)."""
    place = root.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
