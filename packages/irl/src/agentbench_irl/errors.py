"""What can go wrong.

IRLError
    DataError (ValueError)              a file or an example that cannot be learnt from
    ConfigError (ValueError)            settings that contradict each other or the model
    UnsupportedModelError (TypeError)   a model whose logits or head cannot be trained correctly
    KernelError (RuntimeError)          CUDA kernels that do not compile
"""


class IRLError(Exception):
    """The root of this package's errors."""


class DataError(IRLError, ValueError):
    """A file or an example cannot be learnt from."""


class ConfigError(IRLError, ValueError):
    """Settings contradict each other or the model."""


class UnsupportedModelError(IRLError, TypeError):
    """The model's logits or head cannot be trained correctly."""


class KernelError(IRLError, RuntimeError):
    """The CUDA kernels do not compile."""
