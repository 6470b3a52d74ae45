"""Packages that only some commands need."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..model.errors_tergan import MissingPackageError


@contextmanager
def optional_packages(user: str, extra: str) -> Iterator[None]:
    """
    Turn a failing import into a sentence.

    Args:
        user: what needs the package, with its verb, such as "portraits need".
        extra: of this package, which installs the other.

    Raises:
        MissingPackageError: a package is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(f'{user} the package {error.name}: pip install -e ".[{extra}]"') from error
