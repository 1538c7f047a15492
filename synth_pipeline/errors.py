"""The error family: every refusal is one clear line that says what, where, what is allowed and what to do.

Belongs here: exception types and their exit codes. Does not: the checks that raise them.

Messages never carry a value that was read from private rows; culprits are names (columns, files, keys of a spec) and counts of
faults, never the faulty values.
"""

EXIT_DONE = 0
EXIT_BAD_INPUT = 2
EXIT_BUDGET_REFUSED = 3
EXIT_CHECK_FAILED = 4


class SynthPipelineError(Exception):
    """Any refusal of synth_pipeline.

    Attributes:
        exit_code: what the command line exits with when this error ends a command.
    """

    exit_code = EXIT_BAD_INPUT


class SpecError(SynthPipelineError, ValueError):
    """The specification of a dataset is wrong, contradicts itself, or asks for what there is not."""


class TableError(SynthPipelineError, ValueError):
    """A table or file does not hold what its specification declares."""


class NothingToLearn(TableError):
    """A released table has nothing that a classifier could learn; found before a real row is read, so it may be told."""


class StoreError(SynthPipelineError, OSError):
    """A store of values cannot be read or written: no space, no permission, no answer; what was stored before stands."""


class SourceError(SynthPipelineError, RuntimeError):
    """A source of snapshots cannot be reached, or its content has changed meanwhile; trying again may help."""


class PredicateError(SynthPipelineError, ValueError):
    """A SQL condition does not parse, names an unknown column, or compares what cannot be compared."""


class ConstraintError(SynthPipelineError, ValueError):
    """The rules of a dataset contradict one another, or cannot be met by the generator within the stated bound."""


class PrivacyError(SynthPipelineError, ValueError):
    """A request that would break, or cannot be covered by, the differential-privacy guarantee."""


class StageStopped(PrivacyError):
    """A stage that reads rows was stopped by an error that is not ours, whose words are withheld; trying again may help."""


class ModelError(SynthPipelineError, ValueError):
    """A saved generator cannot be read, or does not fit the request."""


class SigningError(SynthPipelineError, ValueError):
    """A key or its passphrase cannot be read or does not fit, or a signed text is not what was signed."""


class LedgerError(SynthPipelineError, RuntimeError):
    """The budget ledger cannot be read, is in use, or its chain of entries is broken."""


class LedgerUnreachable(LedgerError):
    """The ledger does not answer: its server is down, its file is held or its disk is full; trying again may help."""


class BudgetRefused(SynthPipelineError, RuntimeError):
    """A charge would pass a cap; nothing was read and nothing was written."""

    exit_code = EXIT_BUDGET_REFUSED


class CheckFailed(SynthPipelineError, RuntimeError):
    """A blocking check failed; the release was stopped."""

    exit_code = EXIT_CHECK_FAILED


class ApprovalRefused(SynthPipelineError, RuntimeError):
    """A release may not be approved, withdrawn or used: by this key, in its state, or at this time."""

    exit_code = EXIT_CHECK_FAILED
