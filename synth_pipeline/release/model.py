"""The released model: generator, profile and schema together, which samples tables of values under conditions and rules.

It holds released and public facts only, so it can be stored, shared and sampled without end.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.constrain.enforce import enforce, placed_again
from synth_pipeline.constrain.rules import Rules
from synth_pipeline.encode.condition import Condition, compile_condition
from synth_pipeline.encode.decode import decode
from synth_pipeline.encode.identifier import invent_identifiers, invent_people
from synth_pipeline.errors import ConstraintError, ModelError, PredicateError, SynthPipelineError
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.generate.protocol import Generator
from synth_pipeline.privacy.events import Event
from synth_pipeline.release.completion import complete_given
from synth_pipeline.release.draft import draft_prefix, replaced_prefix, sweep_drafts
from synth_pipeline.release.people import drawn_as_rows, people_facts, profile_of_rows, rows_to_deal, with_people
from synth_pipeline.release.rebalance import Drawn, Shares, cells_of, draw_cells
from synth_pipeline.release.statement import file_digest
from synth_pipeline.release.trust_map import TrustMap, make_trust_map
from synth_pipeline.snapshot.dtypes import restore_dtypes
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import CategoricalColumn, ModelledColumn
from synth_pipeline.table.person import PERSON_ROWS
from synth_pipeline.table.predicate import Predicate, Semantics, parse_predicate, region_table
from synth_pipeline.table.profile import CategoryProfile, Profile
from synth_pipeline.table.region import Region, RegionTable

FORMAT = 1
MOST_ROWS = 100_000_000
_PILOT_ROWS = 1000
_OFTEN = 0.9
_PROFILE_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class ReleasedModel:
    """A trained generator with all that is needed to sample a table from it.

    Attributes:
        spec: the specification that it was trained by.
        profile: the released profile.
        generator: the engine's released state.
        dtypes: dtype of each column of the real table, in its order; a public schema.
        share: share of the walk's ε that profile and generator were given; a refresh gets less than a refit.
    """

    spec: Spec
    profile: Profile
    generator: Generator
    dtypes: Mapping[str, str]
    share: float = 1.0

    def __repr__(self) -> str:
        return (
            f"ReleasedModel({self.spec.dataset}: {self.generator.kind}, {len(self.dtypes)} columns, ε = {self.epsilon:.4g} at"
            f" δ = {self.spec.privacy.delta:g})"
        )

    @property
    def events(self) -> tuple[Event, ...]:
        """Every DP event of the profile and the training."""
        return self.generator.events

    @property
    def epsilon(self) -> float:
        """The ε that is proven for this model at the walk's δ: that of its plan.

        What was asked later hangs on earlier answers, so the events that happened may not be composed as if they had been fixed in
        advance. The plan's pool, which they were paid from, was.
        """
        return make_plan(self.spec, share=self.share).training_epsilon

    def sample(
        self,
        rows: int | None = None,
        where: str | None = None,
        seed: int | None = None,
        *,
        given: pd.DataFrame | None = None,
        null_token: str | None = None,
    ) -> pd.DataFrame:
        """A synthetic table with the real table's columns, order and dtypes; free of budget.

        Where people may have several rows, the rows come person by person, under the same invented identifier, as many each as the released
        law of that number says; the last person may be cut short. Given rows stay one a person.

        Args:
            rows: number of rows, at least 1; left out where rows are given.
            where: SQL condition that every row satisfies, met by conditioning inside the model.
            seed: seed of the draw; None for a fresh one.
            given: rows with missing cells. The same rows come back, in their order, with each cell that is empty or whose column is
                absent drawn from the model's law given the row's other cells; known cells are unchanged.
            null_token: text that marks a known null in the given rows, where an empty cell is an unknown one.

        Raises:
            PredicateError: if the condition does not parse or compares columns with one another.
            ConstraintError: if no row can satisfy the condition and the rules together, or no completion of a given row was found that
                obeys the rules.
            ModelError: if `rows` is out of range, or this kind of generator cannot fill given rows.
            TableError: if given rows do not fit the declared columns.

        Privacy:
            Post-processing of released values. Given rows are the caller's own: nothing is charged for them, nothing of them is kept.
        """
        rng = np.random.default_rng(seed)
        if given is not None:
            if rows is not None or where is not None:
                raise ModelError("--given: takes the place of --rows and --where; leave them out")
            return self._finished(*complete_given(self, given, rng, null_token=null_token), rng)
        rows = _possible_rows(rows)
        asked = None if where is None else parse_predicate(where, self.columns, where="--where")
        frame, person = self._drawn(rows, asked, rng)
        return self._finished(frame, {}, rng, person)

    def rebalance(self, rows: int, *, shares: Shares, seed: int | None = None) -> pd.DataFrame:
        """A synthetic table with the asked shares of groups or classes, in random order; free of budget.

        The numbers of rows are exact: each share of `rows`, rounded down or up by largest remainders. Inside a group the rows follow the
        model's law given the group, rules included. Nothing else is claimed: what depends on the groups' shares, such as the
        distribution of other columns over the whole table, moves with them, and a group that is rare in the model is no better known
        for being drawn often. Where people may have several rows, each person's rows lie in one group, as under `where`.

        Args:
            rows: number of rows, at least 1.
            shares: by column, `"equal"` over its categories or a share for each, several columns multiplied out; or pairs of an SQL
                condition and its share, no two of which one row can meet. The shares add up to 1; what is not named does not occur.
            seed: seed of the draw; None for a fresh one.

        Raises:
            PredicateError: if a column, category or condition is unknown or impossible, conditions overlap, or shares do not add up to 1.
            ConstraintError: if the model, under the rules, cannot draw a group that was asked for.
            ModelError: if `rows` is out of range.

        Privacy:
            Post-processing of released values.
        """
        rng = np.random.default_rng(seed)
        cells = cells_of(shares, self.columns)
        frame, person = draw_cells(
            _possible_rows(rows), cells, lambda count, asked: self._drawn(count, asked, rng), rng
        )
        return self._finished(frame, {}, rng, person)

    def _drawn(self, rows: int, asked: Predicate | None, rng: np.random.Generator) -> Drawn:
        """Rows of the model's law, under the condition where one is asked for, dealt to people where these have several."""
        people = self.profile.people
        rules = Rules.from_spec(self.spec)
        table = self._regions(rules, asked)
        condition = (
            None
            if table is None
            else compile_condition(table, self.profile, where="--where" if asked else "constraints")
        )
        named = {} if table is None else dict(zip(table.columns, table.regions, strict=True))
        if asked is None and condition is not None and self._mostly_obeys(rules, rng):
            condition, named = None, {}  # the few rows that break a rule are drawn again, which keeps the same law
        wanted = rows if people is None else rows_to_deal(rows, people.most_rows)
        frame = enforce(lambda count: self._draw(count, condition, named, rng), wanted, rules)
        if asked is not None and not asked.is_true(frame).all():
            raise ConstraintError(
                "--where: a drawn row does not satisfy the condition; nothing is returned: report this as a fault"
            )
        if people is None:
            return frame, None

        def is_allowed(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
            return rules.obeyed(table) if asked is None else rules.obeyed(table) & asked.is_true(table)

        return with_people(frame, self.columns, people, rows=rows, is_allowed=is_allowed, rng=rng)

    def save(self, folder: str | Path) -> Path:
        """Write the model into a folder: JSON and safetensors, no pickle; whole or not at all.

        What processes that were killed while they wrote this folder left beside it is removed a day later.

        Raises:
            ModelError: if the folder exists and holds anything but a model.
        """
        target = Path(folder)
        if target.exists() and (
            not target.is_dir() or (any(target.iterdir()) and not (target / "model.json").exists())
        ):
            raise ModelError(f"{target}: exists and is not a model; give another place")
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=draft_prefix(target.name), dir=target.parent))
        try:
            self._write(draft)
            draft.chmod(0o755)
            _replace_folder(draft, target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sweep_drafts(target.parent, target.name)
        return target

    @property
    def columns(self) -> dict[str, ModelledColumn]:
        """The modelled columns, with discovered categories filled in, in table order."""
        return resolved_columns(self.spec, self.profile)

    @property
    def facts(self) -> dict[str, Any]:
        """Released facts worth showing: the generator's, and how rows fall to people where they may have several."""
        found = people_facts(self.profile, self.columns, self.spec.privacy.unit.column or "")
        return {**self.generator.facts, "people": found} if found else dict(self.generator.facts)

    def trust_map(self, rows: int | None = None) -> TrustMap:
        """How far each column, pair and larger measured table is expected to lie from the private rows; free of budget."""
        return make_trust_map(self, rows=rows)

    @cached_property
    def row_profile(self) -> Profile:
        """The released profile in terms of rows; the profile itself where each row is a person."""
        if self.profile.people is None:
            return self.profile
        rng = np.random.default_rng(0)
        encoded = self.generator.sample(_PROFILE_ROWS, rng=rng)
        numbers = decode(encoded, self.profile, rng=rng)[PERSON_ROWS].to_numpy(dtype=np.int64)
        return profile_of_rows(self.profile, encoded.codes, numbers)

    def _finished(
        self,
        frame: pd.DataFrame,
        identifiers: Mapping[str, pd.Series],
        rng: np.random.Generator,
        person: npt.NDArray[np.int64] | None = None,
    ) -> pd.DataFrame:
        """The modelled columns with identifiers beside them (given ones where there are any) and the real table's dtypes."""
        if self.spec.identifiers:
            invented = invent_identifiers(self.spec.identifiers, len(frame), seed=int(rng.integers(2**31)))
            unit = self.spec.privacy.unit.column
            if person is not None and unit is not None:
                column = self.spec.identifiers[unit]
                invented[unit] = invent_people(unit, column, person, seed=int(rng.integers(2**31)))
            for name, values in identifiers.items():
                invented[name] = (
                    values.astype(object).where(values.notna(), invented[name].astype(object)).infer_objects()
                )
            frame = pd.concat([frame.reset_index(drop=True), invented], axis=1)
        return restore_dtypes(frame, self.dtypes, self.spec.columns)

    def _write(self, folder: Path) -> None:
        (folder / "profile.json").write_text(json.dumps(self.profile.to_json()), encoding="utf-8")
        self.generator.save(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        content = {
            "format": FORMAT,
            "kind": self.generator.kind,
            "spec": self.spec.model_dump(mode="json", by_alias=True),
            "dtypes": dict(self.dtypes),
            "share": self.share,
            "files": {path.relative_to(folder).as_posix(): file_digest(path) for path in files},
        }
        (folder / "model.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _regions(self, rules: Rules, asked: Predicate | None) -> RegionTable | None:
        """The condition and as many rules as fit with it into one table of regions; the other rules are met by drawing again."""
        columns = self.columns
        wanted = [] if asked is None else [asked]
        alone = region_table(wanted, columns, semantics="where") if wanted else None
        if wanted and alone is None:
            raise PredicateError(
                "--where: compares columns with one another; compare each column with constants instead"
            )
        left = rules.residual(columns).predicates
        inside = [rule for rule in rules.predicates if rule not in left]
        if not inside:
            return alone
        semantics: list[Semantics] = [*("where" for _ in wanted), *("check" for _ in inside)]
        together = region_table([*wanted, *inside], columns, semantics=semantics)
        return alone if together is None else together

    def _mostly_obeys(self, rules: Rules, rng: np.random.Generator) -> bool:
        """Whether the generator obeys the rules without being told, as one does that was trained under them."""
        return bool(rules.obeyed(self._draw(_PILOT_ROWS, None, {}, rng)).mean() >= _OFTEN)

    def _draw(
        self, rows: int, condition: Condition | None, named: Mapping[str, tuple[Region, ...]], rng: np.random.Generator
    ) -> pd.DataFrame:
        rules = Rules.from_spec(self.spec)

        def draw(count: int) -> pd.DataFrame:
            encoded = self.generator.sample(count, where=condition, rng=rng)
            regions = {encoded.domain.index(name): found for name, found in named.items()}
            unranked = replace(encoded, ranks={})  # ranks would put a row where it was

            def again(broken: npt.NDArray[np.bool_]) -> pd.DataFrame:
                return decode(unranked.taken(broken), self.profile, rng=rng, regions=regions)

            drawn = decode(encoded, self.profile, rng=rng, regions=regions)
            return placed_again(drawn, again, rules) if rules.predicates else drawn

        people = self.profile.people
        return draw(rows) if people is None else drawn_as_rows(draw, rows, people, rng)


def _possible_rows(rows: int | None) -> int:
    """A number of rows that a table can have."""
    if rows is None or not 1 <= rows <= MOST_ROWS:
        asked_for = "none" if rows is None else f"{rows:,}"
        raise ModelError(f"rows: {asked_for} asked for; a table has between 1 and {MOST_ROWS:,} rows")
    return rows


def resolved_columns(spec: Spec, profile: Profile) -> dict[str, ModelledColumn]:
    """The modelled columns in the profile's order, discovered ones with the categories that were found."""
    columns: dict[str, ModelledColumn] = {}
    for released in profile.table_columns:
        column = spec.modelled[released.name]
        if isinstance(column, CategoricalColumn) and column.discover and isinstance(released, CategoryProfile):
            found = tuple(category for category in released.categories if not isinstance(category, bool))
            column = column.model_copy(update={"categories": found or ("other",), "discover": False})
        columns[released.name] = column
    return columns


def load_model(folder: str | Path) -> ReleasedModel:
    """The model that `ReleasedModel.save` wrote.

    Raises:
        ModelError: if the folder is missing, damaged, or of another format.
    """
    from safetensors import SafetensorError

    place = Path(folder)
    try:
        content: dict[str, Any] = json.loads((place / "model.json").read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ModelError(
                f"{place}: model format {content['format']}; this version reads format {FORMAT}; load it with the version of"
                " synth_pipeline that wrote it (fitting again is charged again)"
            )
        _require_whole(place, content.get("files", {}))
        profile = Profile.from_json(json.loads((place / "profile.json").read_text(encoding="utf-8")))
        generator = engine_for(content["kind"]).load(place)
        return ReleasedModel(
            Spec.from_mapping(content["spec"], where=str(place)),
            profile,
            generator,
            content["dtypes"],
            content.get("share", 1.0),
        )
    except SynthPipelineError:
        raise
    except (OSError, KeyError, ValueError, TypeError, SafetensorError) as error:
        if not (place / "model.json").is_file():
            raise ModelError(f"{place}: no model there; give a folder that `fit` wrote") from None
        raise ModelError(
            f"{place}: damaged model ({type(error).__name__}); restore a copy of the folder (fitting again is charged again)"
        ) from None


def _require_whole(place: Path, files: Mapping[str, str]) -> None:
    """Refuse a model of which a file is not as it was saved; models that were saved before there were digests have none."""
    for name, digest in files.items():
        if not (place / name).is_file() or file_digest(place / name) != digest:
            raise ModelError(
                f"{place}: damaged model: {name} is not as it was saved; restore a copy of the folder (fitting again is charged again)"
            )


def _replace_folder(draft: Path, target: Path) -> None:
    """Put a finished folder in place of an older one."""
    if not target.exists():
        draft.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=replaced_prefix(target.name), dir=target.parent))
    target.rename(old / "model")
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)
