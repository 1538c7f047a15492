"""How a run's steps execute: one after another, each in a process forked from one that has the heavy libraries loaded."""

import dagster as dg

PRELOADED_MODULES = (
    "synth_pipeline.orchestration",
    "pandas",
    "pyarrow.parquet",
    "torch",
    "great_expectations",
    "mlflow",
)


def walk_executor() -> dg.ExecutorDefinition:
    """A multiprocess executor that pays for heavy imports once a run, not once a step.

    A step's memory goes back with its process, and one step at a time keeps a small machine within it.
    """
    return dg.multiprocess_executor.configured(
        {"max_concurrent": 1, "start_method": {"forkserver": {"preload_modules": list(PRELOADED_MODULES)}}},
        name="forkserver",
    )
