"""The errors of the world, as opposed to a caller's mistakes (those are ValueError).

ApuError                 anything a user can mend; its text is one sentence: what, where, what to do
├── InputError           a file or an argument that cannot be used
│   ├── FormatError      a file whose content is not what its name or place promises
│   └── UnsafeFileError  a file refused before it was read: pickled code, or larger than its limit
├── AnswerError          a vision-language model gave no usable answer; `.status` says which kind
├── FitError             a pair that cannot be fitted, and why
└── StoreError           the workspace cannot be read or written
    └── ConflictError    a save that started from an older revision than the stored one
"""


class ApuError(Exception):
    """Base of all errors with a sentence for the user; never carries a traceback to the screen."""


class InputError(ApuError):
    """A file or argument that cannot be used."""


class FormatError(InputError):
    """A file whose content is not what its name or place promises."""


class UnsafeFileError(InputError):
    """A file refused before it was read: it carries pickled code, or claims more memory than its limit."""


class AnswerError(ApuError):
    """No usable answer from a model; asking again is possible.

    Args:
        status: one of `apu.ask.FAILURES` (``"refused"``, ``"truncated"``, ``"invalid"``, ...).
        message: one sentence for the user.
        raw: what the model sent, as far as it came.
    """

    def __init__(self, status: str, message: str, *, raw: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.raw = raw


class FitError(ApuError):
    """A pair that cannot be fitted, and why."""


class StoreError(ApuError):
    """The workspace cannot be read or written."""


class ConflictError(StoreError):
    """A save that started from an older revision than the stored one; nothing was written."""
