"""Attacks on a synthetic table, each beside the same attack on people never seen: diagnostics, internal, never a gate.

Belongs here: attacks, their rates and words. Does not: bounds on ε by replay or canaries (audit), pages (report).
"""

from synth_pipeline.audit.attack.attacks import attack_table
from synth_pipeline.audit.attack.report import AttackFigure, AttackReport
from synth_pipeline.audit.attack.wording import headline, summary_lines

__all__ = ["AttackFigure", "AttackReport", "attack_table", "headline", "summary_lines"]
