"""A small dataset as people declare their own: a folder with a `defs.yaml`, a home, and snapshot files; for tests through Dagster."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from synth_pipeline.integrations.stores import Home

MARKER_NAME = "Wilhelmina Murray-Harker"
ATTRIBUTES = {
    "dataset": "clinic",
    "source": {"uri": "./arrivals"},
    "columns": {
        "person": {"kind": "identifier", "faker": "name"},
        "age": {"kind": "integer", "min": 0, "max": 99},
        "ward": {"kind": "categorical", "categories": ["A", "B", "C"]},
        "town": {"kind": "categorical", "discover": True},
        "fee": {"kind": "float", "min": 0, "max": 500, "precision": 0, "nullable": True},
        "insured": {"kind": "boolean"},
    },
    "privacy": {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 2.5}},
    "constraints": [{"if": "age < 18", "then": "insured"}],
    "benchmark": {"target": "insured"},
}


@dataclass(frozen=True)
class Place:
    """A home with one dataset declared and its snapshots' folder.

    Attributes:
        home: the home folder.
        own: folder of the datasets' declarations.
    """

    home: Home
    own: Path

    @property
    def arrivals(self) -> Path:
        """Where snapshot files arrive."""
        return self.home.folder / "arrivals"

    def put(self, name: str, frame: pd.DataFrame) -> Path:
        """A snapshot file."""
        path = self.arrivals / f"{name}.parquet"
        frame.to_parquet(path, index=False)
        return path


def make_place(folder: Path, **changes: object) -> Place:
    """A fresh home under a folder, with the dataset declared; changes replace attributes."""
    own = folder / "own"
    (own / "clinic").mkdir(parents=True)
    content = {"type": "synth_pipeline.orchestration.SyntheticDataset", "attributes": {**ATTRIBUTES, **changes}}
    (own / "clinic" / "defs.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    place = Place(Home.at(folder / "home").make(), own)
    place.arrivals.mkdir()
    return place


def clinic_rows(rows: int = 900, seed: int = 0) -> pd.DataFrame:
    """Visits; age drives ward, fee and insurance. One row holds values that must never be seen anywhere."""
    rng = np.random.default_rng(seed)
    age = rng.integers(1, 90, rows)
    ward = np.array(["A", "B", "C"])[np.clip(age // 30 + rng.integers(-1, 2, rows), 0, 2)]
    frame = pd.DataFrame(
        {
            "person": [f"Person {row} of {seed}" for row in range(rows)],
            "age": age,
            "ward": ward,
            "town": rng.choice(["Ulm", "Bonn"], rows, p=[0.6, 0.4]),
            "fee": np.where(rng.random(rows) < 0.2, np.nan, np.round(age * 3 + rng.integers(0, 50, rows))),
            "insured": (rng.random(rows) < 0.3 + age / 150) | (age < 18),
        }
    )
    frame.loc[0, ["person", "town"]] = MARKER_NAME, f"Borgo of {MARKER_NAME}"
    return frame
