"""The audit: measured lower bounds on ε beside the claimed one, and attacks on the table.

Belongs here: replays, transcripts, canaries, attacks, verdicts. Does not: mechanisms (privacy), engines (generate), gating (orchestration).
"""
