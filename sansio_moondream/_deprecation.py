"""How public names go: they work for some more versions, and warn.

The rules are in CONTRIBUTING.md, "How a name goes". There is one way for each kind of name:

- a function, a method or a property: `@deprecated("use ...; it goes in X.Y")`
- an argument: `@renamed_argument("old", "new", until="X.Y")`
- a class or a constant: `__getattr__ = renamed(__name__, {"Old": "package.New"}, until="X.Y")`
- a module: its file has only `__getattr__ = moved(__name__, "package.new", until="X.Y")`

`until` is the version without the name. Each warning is a DeprecationWarning at the line of the
caller; of an async function, at the line that awaits it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from warnings import warn

P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    # Type checkers have it without the package, and report each use.
    from typing_extensions import deprecated as deprecated  # noqa: PLC0414 - for importers
else:

    def deprecated(message: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Let a function warn when it is called. Python has this from 3.13 on."""
        return lambda function: _preceded(
            function, lambda _: warn(message, DeprecationWarning, stacklevel=3)
        )


def renamed_argument(
    old: str, new: str, *, until: str
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function take an argument by its old name too. Its signature has only the new one."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        where = f"{function.__qualname__}()"

        def rename(arguments: dict[str, Any]) -> None:
            if old not in arguments:
                return
            if new in arguments:
                raise TypeError(f"{where} got {new!r}, and {old!r}, which is its old name")
            arguments[new] = arguments.pop(old)
            text = f"the argument {old!r} of {where} is called {new!r} now; {old!r} goes in {until}"
            warn(text, DeprecationWarning, stacklevel=3)

        return _preceded(function, rename)

    return decorate


def renamed(
    module: str,
    names: Mapping[str, str],
    *,
    until: str,
    otherwise: Callable[[str], Any] | None = None,
) -> Callable[[str], Any]:
    """Make the `__getattr__` of a module for names that are elsewhere now.

    Args:
        module: its name.
        names: the full new name of each old one.
        until: the version without the old names.
        otherwise: a `__getattr__` for all other names.
    """

    def find(name: str) -> Any:
        if name not in names:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        where, _, now = names[name].rpartition(".")
        value = getattr(import_module(where), now)
        text = f"{module}.{name} is {names[name]} now; the old name goes in {until}"
        warn(text, DeprecationWarning, stacklevel=2)
        return value

    return find


def moved(module: str, new: str, *, until: str) -> Callable[[str], Any]:
    """Make the `__getattr__` of a module that is elsewhere now. Importing the old one warns."""
    target = import_module(new)
    text = f"the module {module} is {new} now; the old name goes in {until}"
    warn(text, DeprecationWarning, stacklevel=3)

    def find(name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # __path__ would import submodules twice
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(target, name)

    return find


def _preceded(function: Callable[P, T], first: Callable[[dict[str, Any]], None]) -> Callable[P, T]:
    """Call `first` with the keyword arguments before each call of a function."""
    if iscoroutinefunction(function):

        @wraps(function)
        async def wait(*args: P.args, **kwargs: P.kwargs) -> Any:
            first(kwargs)
            return await function(*args, **kwargs)

        return cast("Callable[P, T]", wait)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        first(kwargs)
        return function(*args, **kwargs)

    return call
