"""`python -m synth_pipeline` is `synth-pipeline`."""

from synth_pipeline.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
