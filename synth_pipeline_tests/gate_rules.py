"""Rules of the gate as a lint: what leaves the private zone leaves through `privacy.gate` and its adapters, as far as source text shows.

Each rule takes a parsed module and its place in the package and tells what it finds, as `line: what`. Types say that an adapter takes
`Released` values; these rules say that there is no way around the adapters.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

PRIVATE_ROOMS = ("privacy", "snapshot", "profile", "encode", "generate", "audit", "benchmark", "drift")

CLAIMS = {
    "privacy/gate/output.py": "the line that says where output is kept",
    "orchestration/private_assets.py": "plans, charges, released profiles, ledger entries",
    "orchestration/asset_options.py": "that a stage waits for its turn",
    "orchestration/released_assets.py": "post-processing of a released generator",
    "orchestration/release_assets.py": "what a release states",
    "orchestration/audit_assets.py": "the audit of released data",
    "orchestration/report_assets.py": "where a private page lies, its sections by the specification, why it was not made (value-free)",
    "orchestration/approval_events.py": "decisions about releases: signed statements, key ids, the words of who decides",
    "orchestration/approval_assets.py": "where MLflow's alias points",
    "orchestration/approval_sensor.py": "kind of an error of MLflow's",
    "orchestration/score_assets.py": "a score that was measured under DP, or why none was",
    "orchestration/drift_assets.py": "a decision, which is made from released facts, and charges",
    "orchestration/drift_display.py": "a drift report, which is measured under DP",
    "orchestration/lineage.py": "names of columns, which the specification states",
    "orchestration/lineage_events.py": "names, the specification, released figures of a step, kinds of faults",
    "orchestration/checks.py": "what an expectation observed in a synthetic table",
    "orchestration/tracking.py": "public facts of a walk, its released generator",
    "orchestration/resources.py": "the share of a stage's work that is done",
    "orchestration/quarantine.py": "why a snapshot was refused: names of columns and files, kinds of faults, counts masked",
    "orchestration/sensors.py": "names and numbers of snapshots, and why some are in quarantine",
}
"""Modules that may claim that a value is released, and about what."""

DAGSTER_ADAPTER = "orchestration/metadata.py"
MLFLOW_ADAPTER = "integrations/mlflow.py"
OWN_LIBRARIES = {
    "mlflow": {MLFLOW_ADAPTER, *(f"integrations/mlflow_{part}.py" for part in ("model", "place", "registry"))},
    "great_expectations": {"integrations/great_expectations.py", "integrations/great_expectations_checks.py"},
}
DAGSTER_OUTLETS = {
    "MaterializeResult", "ObserveResult", "AssetCheckResult", "AssetMaterialization", "AssetObservation", "AssetCheckEvaluation",
    "Output", "DynamicOutput", "ExpectationResult", "TypeCheck", "Failure", "RetryRequested", "get_dagster_logger",
}  # fmt: skip
DAGSTER_METHODS = {
    "add_output_metadata", "add_asset_metadata", "add_metadata", "add_input_metadata", "log_event", "report_runless_asset_event",
    "report_engine_event", "report_dagster_event",
}  # fmt: skip
SPEAKING = {
    "print",
    "pprint",
    "breakpoint",
    "print_exc",
    "print_exception",
    "print_stack",
    "warn",
    "warn_explicit",
    "echo",
    "secho",
}

REVIEWED_LOGS = {
    "generate/maxent/engine.py": {"_LOG.warning"},  # how well a fit follows noisy tables
}
"""Log lines of private rooms that say released figures only."""

PUBLIC = re.compile(
    r"type\(\w+(\.\w+)?\)\.__name__|\w+\.__name__|[A-Z_]+|(self\.)?(config|budget|event|spec|unit|column|parent|plan|cap)\.[a-z_.]+"
    r"|' or '\.join\(READABLE\)|', '\.join\((get_args\(\w+\)|sorted\(_KINDS\)|modules)\)"
    r"|where|what|path|path\.parent|folder|place|self\.path|self\.place|purpose|stage|dataset|kind|zone|side|wanted"
    r"|epsilon|delta|sigma|mu|cost|spent|rate|sensitivity|self\.(left_cost|epsilon|max_rows|sample_rate|steps|lifetime_epsilon)"
)
"""Expressions that are public wherever they stand in a message: names of files, columns and stages, parts of a specification or a plan."""

REVIEWED: dict[str, set[str]] = {
    "privacy/events.py": {"value", "error"},  # parameters of an event, read from JSON
    "privacy/composition.py": {"discovery_delta(events)"},
    "privacy/answer.py": {"self.name", "len(self.columns)"},  # of a watched table: names of columns
    "privacy/desk.py": {"used"},  # δ′ of discoveries, from events
    "privacy/exact_laplace.py": {"scale"},  # of the noise
    "privacy/noise.py": {"size"},
    "privacy/secure_stream.py": {"size", "count"},
    "privacy/teachers.py": {"teachers", "records"},
    "privacy/view.py": {"codes.shape[1]", "len(domain)"},  # numbers of columns
    "privacy/journal.py": {
        "key.where",
        "key.walk.dataset",
        "key.reservation",
        "self._path.name",
    },  # names of a walk and its stage
    "privacy/mechanisms/discrete_gaussian.py": {"counts.dtype"},
    "privacy/mechanisms/stability.py": {"self.rows", "self.weight"},  # the contribution bound
    "snapshot/check.py": {
        "', '.join([*told, *others])",  # told: declared names alone
        "len(twice) - len(told)",  # of columns
        "listed",  # names of undeclared columns, where `require_header` let them be told
        "shortened(list(spec.columns))",
        "'; '.join(faults)",
        "name",
        "fault",
        "held",
        "_REMEDY[held]",
        "_UNREADABLE.get(held, held)",
        "spec.columns[name].kind",
        "rows",
    },  # rows: masked where it leaves
    "snapshot/schema_drift.py": {"self.kind", "self.column", "self.detail"},  # names and types of columns
    "snapshot/csv_text.py": {"'; '.join(faults)", "name", "wrong"},  # wrong: rows, masked where it leaves
    "snapshot/native.py": {
        "'; '.join(faults)",
        "name",
        "made.outside",
        "made.nulls",
        "domain",
        "remedy",
        "unknown",
        "categories",
        "column.min",
        "column.max",
        "spec.privacy.unit.column",
    },  # counts of rows, masked
    "snapshot/read.py": {"held", "path.name", "secrets.token_hex(4)"},
    "snapshot/take.py": {"self.fingerprint[:12]"},  # keyed
    "snapshot/dtypes.py": {"', '.join(missing)", "ordered", "values.dtype.categories.dtype"},
    "snapshot/key.py": {"len(key)", "mode & 511", "secrets.token_hex(8)"},
    "drift/decision.py": {"prior.version"},
    "generate/engine_registry.py": {"kind"},
    "generate/measured.py": {"name"},  # of an array in a generator's file
    "generate/plan.py": {"asked", "whole.epsilon"},  # of a specification
    "generate/pate_gan/config.py": {"name", "value"},
    "generate/hybrid/config.py": {"name", "getattr(self, name)", "self.clip_norm"},
    "generate/autoregressive/config.py": {"self.network", "' or '.join(get_args(Network))"},
    "generate/vae/config.py": {"self.kl_weight"},
    "generate/dpsgd/config.py": {
        "name",
        "getattr(self, name)",
        "self.grad_mode",
        "self.piece_rows",
        "', '.join(get_args(allowed))",
    },
    "generate/dpsgd/rules.py": {"name"},  # of a layer
    "generate/dpsgd/bookkeeping.py": {"book.name", "name", "owners[parameter]", "loss_reduction"},
    "generate/dpsgd/blocks.py": {"width", "heads"},
    "generate/dpsgd/loop.py": {"charged[0]", "charged[1]", "planned[0]", "planned[1]", "faults[0]", "total"},
    "generate/aim.py": {"number"},  # of a round
    "generate/gan/training.py": {"step", "total"},
    "generate/mixture/engine.py": {"number + 1", "transcript.plan.rounds"},
    "generate/pate_gan/training.py": {"done"},
    "generate/privbayes.py": {"done + 1", "len(chosen)", "len(drawn)", "columns"},
    "generate/graphical/beliefs.py": {"columns"},
    "generate/graphical/condition.py": {"len(found)"},
    "generate/likelihood_weighting.py": {"made", "effective"},  # proposed synthetic rows
    "generate/maxent/engine.py": {"self.fitted.misfit", "number + 1"},  # against noisy tables
    "audit/attack/report.py": {"first['msg']", "place"},  # a report file that does not parse
    "audit/attack/people.py": {"unit"},  # the unit column's name
    "audit/verdict.py": {"candidate.name", "audited.summary"},  # a kind of neighbour of a released table
    "audit/bound.py": {"canaries", "guesses", "correct"},  # of an audit, which runs on released data
    "audit/canary.py": {"canaries", "len(found)"},
    "benchmark/scored_table.py": {"', '.join(twice)", "', '.join(missing)", "values.name"},
    "benchmark/scorecard.py": {"first['msg']", "place"},  # a scorecard file that does not parse
    "benchmark/utility.py": {"learner.replace('_', ' ')", "'real' if source == 'trtr' else 'synthetic'"},
    "profile/build.py": {"name"},
    "profile/refresh.py": {"', '.join(names)", "', '.join(columns)"},  # of columns
    "benchmark/target.py": {"kind"},
    "benchmark/holdout_prediction.py": {"learner.replace('_', ' ')", "told[source]"},
    "benchmark/published.py": {"target", "fault"},  # of the synthetic table alone
}
"""Expressions in messages of one module that were read and found to be names, parameters, or counts of rows (which the gate masks)."""

Rule = Callable[[ast.Module, str], Iterator[str]]


def claims(tree: ast.Module, place: str) -> Iterator[str]:
    """`Released(...)` of the gate outside the modules that may claim it."""
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("synth_pipeline.privacy.gate")
        for alias in node.names
        if alias.name in ("Released", "zone")
    }
    for call in _calls(tree):
        is_claim = _name(call.func) in aliases or ast.unparse(call.func).endswith(("gate.Released", "zone.Released"))
        if is_claim and place not in CLAIMS:
            yield f"{call.lineno}: Released(...) here; claims are made in {', '.join(CLAIMS)}"


def dagster_outlets(tree: ast.Module, place: str) -> Iterator[str]:
    """Metadata, results, events and log lines for Dagster outside its adapter."""
    if place == DAGSTER_ADAPTER:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in DAGSTER_OUTLETS | DAGSTER_METHODS:
            yield f"{node.lineno}: {_name(node.func)}(...); use {DAGSTER_ADAPTER}"
        if isinstance(node, ast.Attribute) and node.attr == "log" and _name(node.value).lstrip("_").endswith("context"):
            yield f"{node.lineno}: context.log; use event_log of {DAGSTER_ADAPTER}"


def libraries_kept_to_adapters(tree: ast.Module, place: str) -> Iterator[str]:
    """MLflow or Great Expectations imported elsewhere than in their adapters."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            library = name.split(".")[0]
            if place not in OWN_LIBRARIES.get(library, {place}):
                yield f"{node.lineno}: imports {library}; use {', '.join(sorted(OWN_LIBRARIES[library]))}"


def adapters_take_released(tree: ast.Module, place: str) -> Iterator[str]:
    """A function of an adapter that records something and has no parameter of type `Released`."""
    if place not in (MLFLOW_ADAPTER, "integrations/mlflow_registry.py", "integrations/great_expectations.py"):
        return
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        records = [_name(call.func) for call in _calls(function) if _records(_name(call.func))]
        arguments = [*function.args.args, *function.args.kwonlyargs]
        takes = any(argument.annotation and "Released[" in ast.unparse(argument.annotation) for argument in arguments)
        if records and not takes and not function.name.startswith("_"):
            yield f"{function.lineno}: {function.name} calls {', '.join(records)} and takes nothing Released"


def silent_rooms(tree: ast.Module, place: str) -> Iterator[str]:
    """A private room that prints, warns, logs or writes to a standard stream."""
    if not _is_private(place) or place.startswith("privacy/gate/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in SPEAKING:
            yield f"{node.lineno}: {_name(node.func)}(...) in a private room"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            yield f"{node.lineno}: {ast.unparse(node)} in a private room"
        elif isinstance(node, ast.Call) and _logs(node):
            text = ast.unparse(node)
            if not any(text.startswith(reviewed) for reviewed in REVIEWED_LOGS.get(place, ())):
                yield f"{node.lineno}: {text.split('(')[0]}(...) in a private room"


def public_messages(tree: ast.Module, place: str) -> Iterator[str]:
    """A message of a private room that interpolates what was not reviewed: in errors and progress; in `snapshot` in every text."""
    if not _is_private(place) or place.startswith("privacy/ledger/"):  # a ledger sees charges, never rows
        return
    for part in dict.fromkeys(_interpolated(tree, everywhere=place.startswith("snapshot/"))):
        text = ast.unparse(part)
        if not PUBLIC.fullmatch(text) and text not in REVIEWED.get(place, ()):
            yield f"{part.lineno}: a message holds {{{text}}}; if it can be no value of a row, add it to REVIEWED in gate_rules.py"


RULES: tuple[Rule, ...] = (
    claims,
    dagster_outlets,
    libraries_kept_to_adapters,
    adapters_take_released,
    silent_rooms,
    public_messages,
)


def found_in(source: str, place: str) -> list[str]:
    """What every rule finds in the text of a module."""
    tree = ast.parse(source)
    return [f"{place}:{found}" for rule in RULES for found in rule(tree, place)]


def found_in_package(package: Path) -> list[str]:
    """What every rule finds in a package."""
    modules = sorted(package.rglob("*.py"))
    return [
        found
        for module in modules
        for found in found_in(module.read_text(encoding="utf-8"), module.relative_to(package).as_posix())
    ]


def _is_private(place: str) -> bool:
    return place.split("/", maxsplit=1)[0] in PRIVATE_ROOMS


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(node: ast.expr) -> str:
    """The last part of a dotted name; `Released[str](...)` is `Released`."""
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _records(name: str) -> bool:
    return name.startswith(("log_", "set_tag", "set_experiment_tag", "set_registered", "set_model", "add_dataframe"))


def _logs(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    is_level = function.attr in {"debug", "info", "warning", "error", "exception", "critical", "log"}
    return is_level and bool(
        re.fullmatch(r"_?(log|logger|logging)(\(.*\)|\.getLogger\(.*\))?", ast.unparse(function.value), re.IGNORECASE)
    )


def _interpolated(tree: ast.Module, *, everywhere: bool) -> Iterator[ast.expr]:
    shown: list[ast.AST] = [tree] if everywhere else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            shown.append(node.exc)
        elif isinstance(node, ast.Call) and _name(node.func) in {"progress", "report", "tell"}:
            shown += node.args
    for root in shown:
        for node in ast.walk(root):
            if isinstance(node, ast.FormattedValue):
                yield node.value
            elif isinstance(node, ast.Call) and _name(node.func) in {"str", "repr", "format"} and root is not tree:
                yield node
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
                yield node.right
