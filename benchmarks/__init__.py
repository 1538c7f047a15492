"""Measurements of speed and quality on real tables; needs the package, is no part of it.

Belongs here: harness, recorded figures of others, results. Does not: metrics (synth_pipeline.benchmark), tests.
"""
