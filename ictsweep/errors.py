"""The exceptions that ictsweep raises on purpose.

IctsweepError
├── UserError            something the user can correct; exit code 2, one message, no traceback
│   ├── SpecError        a search space that cannot run: file:line:column, value, what is allowed
│   └── StudyError       a study folder that is missing, taken, or of another version
└── TrainingError        a run that cannot go on
    └── Diverged         loss or gradient became non-finite; the last good checkpoint stays
"""


class IctsweepError(Exception):
    """Root of everything raised on purpose."""


class UserError(IctsweepError):
    """Wrong input: the message says what, where, why and what to do."""


class SpecError(UserError):
    """A search space that cannot run."""


class StudyError(UserError):
    """A study folder that cannot be used as asked."""


class TrainingError(IctsweepError):
    """A training run that cannot go on."""


class Diverged(TrainingError):
    """The loss or its gradient is no longer finite."""
