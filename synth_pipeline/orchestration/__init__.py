"""Dagster: one component turns one specification into assets, checks, partitions, a job, a sensor and a schedule.

Belongs here: when stages run, where results lie, what is shown. Does not: what a stage computes (walk) or how it is tracked (integrations).
"""

from synth_pipeline.orchestration.component import SyntheticDataset

__all__ = ["SyntheticDataset"]
