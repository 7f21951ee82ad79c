"""Sessions: ids of 32 hex digits that expire when unused."""

from collections.abc import Callable


class Sessions:
    """The open sessions and when each was last used."""

    __slots__ = ("_last_used", "_lifetime_seconds", "_new_id")

    def __init__(self, lifetime_seconds: float, new_id: Callable[[], str]) -> None:
        self._lifetime_seconds = lifetime_seconds
        self._new_id = new_id
        self._last_used: dict[str, float] = {}

    def open(self, now: float) -> str:
        """Returns the id of a new session, and removes the expired ones."""
        oldest = now - self._lifetime_seconds
        for session_id in [key for key, used in self._last_used.items() if used <= oldest]:
            del self._last_used[session_id]
        session_id = self._new_id()
        self._last_used[session_id] = now
        return session_id

    def renew(self, session_id: str, now: float) -> bool:
        """Returns whether the session is valid, and if so restarts its lifetime."""
        used = self._last_used.get(session_id)
        if used is None or now >= used + self._lifetime_seconds:
            self._last_used.pop(session_id, None)
            return False
        self._last_used[session_id] = now
        return True

    def end_all(self) -> None:
        """Ends every session."""
        self._last_used.clear()
