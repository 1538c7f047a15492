"""Real and synthetic rows as points of a plane, near one another where they are alike; rare classes of the target are marked.

Belongs here: drawing rows, placing them, the picture. Does not: what the page says around it (internal_page).

Each point is a row of the private table or of the synthetic one, so a picture is internal like the rows.

Sources:
    van der Maaten and Hinton 2008 ("Visualizing data using t-SNE", JMLR 9); van der Maaten 2014 ("Accelerating t-SNE using tree-based
    algorithms", JMLR 15), Barnes-Hut, as in scikit-learn; Kobak and Linderman 2021 (Nat. Biotechnol. 39): start from
    principal components, learning rate n / 12.
"""

import base64
import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.benchmark.feature import fit_coding, fit_scaling, one_hot
from synth_pipeline.benchmark.scored_table import ScoredTables, read_tables
from synth_pipeline.report.chart import Floats
from synth_pipeline.report.comparison import Tables
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import BooleanColumn
from synth_pipeline.validate.reading import category_keys

Flags = npt.NDArray[np.bool_]

MOST_ROWS = 1_000
"""Rows drawn of each table."""

LEAST_RARE_ROWS = 40
"""Rows of rare classes that are drawn of a table, where it holds so many."""

RAREST_SHARE, RARE_SHARE = 0.25, 0.10
"""The rarest class is marked up to the first share of train; further ones while all that are marked stay under the second."""

_LEAST_ROWS = 30
_PERPLEXITY = 30.0
_ITERATIONS = 500
_THETA = 0.7
_COMPONENTS = 30
_REAL, _SYNTHETIC, _FAINT, _INK = (
    "#0072b2",
    "#d55e00",
    "#a3acb8",
    "#111111",
)  # of Okabe and Ito, told apart by the colour-blind


@dataclass(frozen=True, repr=False, eq=False)
class Embedding:
    """Rows in a plane; distances between far points mean nothing, nor do the axes.

    Attributes:
        points: where each row lies; the real rows first (rows × 2).
        is_real: which rows are of train.
        is_rare: which rows are of a rare class.
        target: the column whose classes are looked at; None without one.
        rare: its rare classes, rarest first; empty where no class is rare.
        perplexity: number of neighbours that a row is kept near, about.
        seed: of the draw of rows and of the method.
    """

    points: Floats
    is_real: Flags
    is_rare: Flags
    target: str | None
    rare: tuple[str, ...]
    perplexity: float
    seed: int

    def __repr__(self) -> str:
        return f"Embedding({len(self.points)} rows, contents withheld)"

    @property
    def method(self) -> str:
        """What was done, with its parameters."""
        return (
            f"t-SNE, Barnes-Hut (van der Maaten 2014; scikit-learn): perplexity {self.perplexity:g}, θ = {_THETA:g},"
            f" {_ITERATIONS} iterations, started from principal components, seed {self.seed}. Numbers are standardised on"
            f" train, categories one-hot, then at most {_COMPONENTS} principal components."
        )


@dataclass(frozen=True)
class Picture:
    """An image inside a page.

    Attributes:
        title: what it shows.
        caption: how to read it.
        source: the image as a data URI.
        width: in pixels.
        height: in pixels.
    """

    title: str
    caption: str
    source: str
    width: int
    height: int


def embed_rows(tables: Tables, spec: Spec, *, most_rows: int = MOST_ROWS, seed: int = 0) -> Embedding | None:
    """Place rows of train and of the synthetic table in one plane; None where there are too few of them, or all are alike.

    Args:
        tables: the tables; the holdout is not drawn.
        spec: the specification, whose benchmark target has the classes.
        most_rows: rows of each table.
        seed: of the draw and of the method.

    Raises:
        TableError: if a table does not hold what the specification declares.
    """
    read = read_tables(tables.train, tables.holdout, tables.synthetic, spec)
    target = spec.benchmark.target if spec.benchmark is not None and spec.benchmark.task == "classification" else None
    classes = {
        which: _classes(frame, spec, target) for which, frame in (("real", tables.train), ("made", tables.synthetic))
    }
    rare = rare_classes(classes["real"])
    is_rare = {which: np.isin(found, rare) for which, found in classes.items()}
    rng = np.random.default_rng(seed)
    drawn = {which: _draw(flags, most_rows, rng) for which, flags in is_rare.items()}
    if min(len(rows) for rows in drawn.values()) < _LEAST_ROWS:
        return None
    features = _features(read, drawn["real"], drawn["made"])
    if features is None:
        return None
    perplexity = float(min(_PERPLEXITY, (len(features) - 1) // 3))
    return Embedding(
        points=_placed(features, perplexity, seed),
        is_real=np.arange(len(features)) < len(drawn["real"]),
        is_rare=np.concatenate([is_rare[which][rows] for which, rows in drawn.items()]),
        target=target,
        rare=rare,
        perplexity=perplexity,
        seed=seed,
    )


def rare_classes(classes: npt.NDArray[np.str_]) -> tuple[str, ...]:
    """The classes to mark, rarest first: see `RAREST_SHARE` and `RARE_SHARE`.

    Example:
        >>> rare_classes(np.array(["no"] * 95 + ["yes"] * 5)), rare_classes(np.array(["a", "b"] * 9))
        (('yes',), ())
    """
    known, counts = np.unique(classes[classes != ""], return_counts=True)
    if len(known) < 2:
        return ()
    order = np.argsort(counts, kind="stable")
    shares = counts[order] / counts.sum()
    if shares[0] > RAREST_SHARE:
        return ()
    marked = max(int((np.cumsum(shares) <= RARE_SHARE).sum()), 1)
    return tuple(str(name) for name in known[order[:marked]])


def draw_pictures(embedding: Embedding) -> tuple[Picture, ...]:
    """The rows of both tables together, and, where a class is rare, the same plane with its rows marked."""
    real, rare = embedding.is_real, embedding.is_rare
    both = [(real, "o", _REAL, 0.45), (~real, "^", _SYNTHETIC, 0.45)]
    shown = _picture(embedding, [], both)
    pictures = [
        replace(
            shown,
            title="Real and synthetic rows",
            caption=f"{real.sum():,} rows of train and {(~real).sum():,} synthetic ones. Good tables mix; a patch of one colour alone is a"
            " kind of row that the other table lacks.",
        )
    ]
    if embedding.rare:
        faint = [(~rare, ".", _FAINT, 0.6)]
        marked = [(rare & real, "s", _REAL, 0.85), (rare & ~real, "D", _SYNTHETIC, 0.85)]
        names = ", ".join(embedding.rare)
        caption = (
            f"{embedding.target}: {names}; {(rare & real).sum():,} real and {(rare & ~real).sum():,} synthetic rows. Where chance would"
            f" bring fewer than {LEAST_RARE_ROWS} of a table, more were drawn."
        )
        pictures.append(
            replace(_picture(embedding, faint, marked), title="Rare classes in the same plane", caption=caption)
        )
    return tuple(pictures)


def _classes(frame: pd.DataFrame, spec: Spec, target: str | None) -> npt.NDArray[np.str_]:
    """The class of each row as text; empty where it is null, or there is no target."""
    if target is None:
        return np.full(len(frame), "", dtype=np.str_)
    keys = category_keys(pd.Series(frame[target]), is_boolean=isinstance(spec.modelled[target], BooleanColumn))
    return np.where(pd.isna(keys), "", keys).astype(np.str_)


def _draw(is_rare: Flags, most: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Random rows; of rare classes at least so many as are asked for, in the place of others."""
    order = rng.permutation(len(is_rare))
    wanted = min(max(int(is_rare[order[:most]].sum()), LEAST_RARE_ROWS), int(is_rare.sum()), most)
    rare, others = order[is_rare[order]][:wanted], order[~is_rare[order]]
    return np.sort(np.concatenate([rare, others[: most - len(rare)]]))


def _features(tables: ScoredTables, real: npt.NDArray[np.intp], made: npt.NDArray[np.intp]) -> Floats | None:
    """Rows as numbers, real ones first: features on train's scale, then principal components; None if all are alike."""
    from sklearn.decomposition import PCA

    coding = fit_coding(tables, tables.names)
    scaling = fit_scaling(tables.train, coding)
    parts = [
        one_hot(table.take(rows), coding, scaling) for table, rows in ((tables.train, real), (tables.synthetic, made))
    ]
    dense: Floats = np.vstack([part.toarray() for part in parts])
    dense = dense[:, dense.std(axis=0) > 0]
    if dense.shape[1] < 2:
        return None
    components = min(_COMPONENTS, *dense.shape)
    return PCA(components, svd_solver="full").fit_transform(dense).astype(np.float32)


def _placed(features: Floats, perplexity: float, seed: int) -> Floats:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    method = TSNE(
        perplexity=perplexity,
        angle=_THETA,
        max_iter=_ITERATIONS,
        init="pca",
        learning_rate="auto",
        random_state=seed,
        n_jobs=1,
    )
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(method.fit_transform(features), dtype=np.float64)


def _picture(embedding: Embedding, below: list[Any], above: list[Any]) -> Picture:
    """A square image without words, so that there is nothing to be too small on a phone; its legend is the page's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 5.0), dpi=180, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.margins(0.02)
    for layer in (below, above):
        for flags, shape, colour, opacity in layer:
            points = embedding.points[flags]
            is_marked = shape in "sD"
            edge: dict[str, Any] = {"edgecolors": _INK, "linewidths": 0.7} if is_marked else {"edgecolors": "none"}
            axes.scatter(
                points[:, 0], points[:, 1], s=26 if is_marked else 9, c=colour, marker=shape, alpha=opacity, **edge
            )
    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return Picture("", "", source, 900, 900)
