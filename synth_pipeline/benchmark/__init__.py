"""How good a synthetic table is: fidelity, classifier two-sample test and train-on-synthetic-test-on-real, each with an interval.

Belongs here: scores computed on real rows, all of them internal. Does not: attacks (audit), expectations (validate), pages (report).
"""

from synth_pipeline.benchmark.interval import Interval
from synth_pipeline.benchmark.measure import score
from synth_pipeline.benchmark.scorecard import Scorecard, read_scorecard
from synth_pipeline.benchmark.summary import flat_metrics, summary_lines

__all__ = ["Interval", "Scorecard", "flat_metrics", "read_scorecard", "score", "summary_lines"]
