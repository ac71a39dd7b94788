"""The exceptions that ictsweep raises on purpose.

IctsweepError
├── UserError            something the user can correct; exit code 2, one message, no traceback
│   ├── SpecError        a search space that cannot run: file:line:column, value, what is allowed
│   ├── StudyError       a study folder that is missing, taken, or of another version
│   └── PlaceError       (also a StorageError) a place that cannot be used: missing, read-only,
│                        without credentials
├── StorageError         a disk or a bucket fails where a study is kept; exit code 1. What was
│   │                    recorded before is kept, and the same command continues once it is back
│   ├── StorageFull      no room is left there
│   └── Ousted           another driver has the study now: this one must write nothing more
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


class StorageError(IctsweepError):
    """A study's storage cannot be read or written now."""


class StorageFull(StorageError):
    """There is no room left in a study's storage."""


class Ousted(StorageError):
    """This driver no longer holds the study."""


class PlaceError(StorageError, UserError):
    """A place that cannot hold or give a study until somebody changes something there."""


class TrainingError(IctsweepError):
    """A training run that cannot go on."""


class Diverged(TrainingError):
    """The loss or its gradient is no longer finite."""
