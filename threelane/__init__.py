"""Threelane: send SMS through Clickatell, in three lanes.

``Producer`` enqueues messages; ``HttpProducer`` and ``AsyncHttpProducer`` use the HTTP API instead.  Their exceptions
derive from ``ThreelaneError``: ``threelane.contract.errors`` shows the tree.
"""

TYPE_CHECKING = False  # type checkers know the name; typing itself would cost more than the rest of this file
if TYPE_CHECKING:
    from threelane.library import *  # noqa: F403 - all of its __all__
    from threelane.library import __all__ as __all__
else:

    def __getattr__(name):
        """Return a public name; the modules of the library are imported at the first use of one."""
        if name.startswith("_") and name != "__all__":  # what Python itself looks for, as for a submodule
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # an import of the name would call this function for it

        try:
            found = globals()[name] = getattr(import_module("threelane.library"), name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        return found

    def __dir__():
        """Return the public names and the modules there are."""
        return sorted({*globals(), *__getattr__("__all__")})
