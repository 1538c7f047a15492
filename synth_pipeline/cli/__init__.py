"""The command line, `synth-pipeline`: arguments in, results on stdout, progress and refusals on stderr.

Belongs here: commands, exit codes, tables and progress bars. Does not: anything that the Python API could not do without it.
"""

from synth_pipeline.cli.entry import main

__all__ = ["main"]
