"""What can go wrong between a model's name and a folder that runs.

ModelError
├── ModelNotFoundError       no such name, folder, file or hub repository
├── ModelDownloadError       a download failed; trying again continues where it stopped
├── ModelDigestError         bytes are not the ones that were published
├── UnsupportedModelError    not a Qwen2.5 checkpoint, or one with parts the builder does not know
└── BuiltModelError          a built model folder is not usable
"""


class ModelError(Exception):
    """Base of every error of this package; the message is one line for people."""


class ModelNotFoundError(ModelError):
    """The model cannot be found."""


class ModelDownloadError(ModelError):
    """A download failed."""


class ModelDigestError(ModelError):
    """A file's SHA-256 is wrong."""


class UnsupportedModelError(ModelError):
    """The weights are of a kind that cannot be built."""


class BuiltModelError(ModelError):
    """A folder is not a built model, or of another builder's layout."""
