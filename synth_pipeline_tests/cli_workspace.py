"""A folder with a specification, a private table and, once fitted, a model and a ledger, for tests that go through the command line."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from synth_pipeline.cli import main
from synth_pipeline_tests.released_example import example_spec, example_table

ROWS = 400


@dataclass(frozen=True)
class Workspace:
    """Paths of a folder; every command of a test works in it."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def spec(self) -> Path:
        return self.folder / "clinic.yaml"

    @property
    def table(self) -> Path:
        return self.folder / "clinic.parquet"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def spec_with(self, name: str, **changes) -> Path:
        """Another specification in the folder; `None` takes a key away."""
        content = yaml.safe_load(self.spec.read_text()) | changes
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return path

    def table_with(self, name: str, frame: pd.DataFrame) -> Path:
        """Another table in the folder."""
        path = self.folder / name
        frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
        return path

    def fit(self, *options: str, out: str = "model") -> list[str]:
        """The arguments of a fit; later options win."""
        paths = [
            "--spec",
            str(self.spec),
            "--data",
            str(self.table),
            "--out",
            str(self.folder / out),
            "--home",
            str(self.home),
        ]
        return ["fit", *paths, *options]

    def contents(self) -> dict[str, str]:
        """Every file and folder below, with a digest of what is in it."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else "folder"
            for path in sorted(self.folder.rglob("*"))
        }


def make_workspace(folder: Path, *, fitted: bool) -> Workspace:
    made = Workspace(folder)
    made.spec.write_text(example_spec().to_yaml())
    example_table(ROWS).to_parquet(made.table)
    if fitted:
        assert main(made.fit()) == 0
    return made
