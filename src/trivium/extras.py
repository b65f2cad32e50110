"""Packages that are installed only where somebody needs them: imported on use, and named when they are missing."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from trivium.errors import SettingsError

Function = TypeVar("Function", bound=Callable[..., Any])


def extra_module(module: str, extra: str, need: str) -> Any:
    """The module; where its package is missing, a SettingsError: ``need`` ("the baselines need scikit-learn") and how
    to install ``extra``."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingsError(f"{need}: pip install -e '.[{extra}]' in a clone") from error


def compiled(function: Function) -> Function:
    """``function`` as machine code, made by numba at its first call and kept on disk.

    It releases Python's lock while it runs, so that plain threads share the cores, and draws no random numbers of its
    own. A module that uses this is imported only where its loops are about to run.
    """
    return _compiled(function)


def compiled_sums(function: Function) -> Function:
    """As ``compiled``, for loops over vectors: sums may be taken in another order and products fused into them, and a
    division by zero gives infinity.

    Without that leave a dot product is added up one by one, and a loop with a division asks for zero at every number.
    Infinities and NaN keep their meaning.
    """
    return _compiled(function, {"reassoc", "contract", "nsz"}, "numpy")


def _compiled(function: Function, fastmath: bool | set[str] = False, zero: str = "python") -> Function:
    numba = extra_module("numba", "vectors", "these loops are compiled by numba")
    made: Function = numba.njit(cache=True, nogil=True, fastmath=fastmath, error_model=zero)(function)
    return made
