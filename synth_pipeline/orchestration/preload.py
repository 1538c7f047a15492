"""What a run's forkserver loads once, so that no step pays for it: importing this module is all it is for."""

from importlib import import_module

from synth_pipeline.integrations.mlflow_place import keep_mlflow_offline

HEAVY_MODULES = (
    "torch",
    "sklearn.ensemble",
    "pyarrow.parquet",
    "great_expectations",
    "mlflow.pyfunc",
    "synth_pipeline.orchestration",
)

keep_mlflow_offline()
for _name in HEAVY_MODULES:
    import_module(_name)
