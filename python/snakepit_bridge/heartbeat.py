"""Heartbeats, under the names of the original library.

The worker's own runtime answers the host's heartbeats, also while Python code holds the GIL, and
ends the process when its host is gone. So nothing here sends anything: the names exist for
adapters that import them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["HeartbeatClient", "HeartbeatConfig"]

_TRUE = ("1", "true", "t", "yes", "y", "on")


@dataclass(frozen=True)
class HeartbeatConfig:
    """Settings of a `HeartbeatClient`; times in milliseconds. The host's own settings apply."""

    enabled: bool = True
    interval_ms: int = 2000
    timeout_ms: int = 10000
    max_missed_heartbeats: int = 3
    initial_delay_ms: int = 0
    jitter_ms: int = 0
    dependent: bool = True

    @classmethod
    def from_mapping(
        cls, options: Mapping[Any, Any] | None, *, defaults: HeartbeatConfig | None = None
    ) -> HeartbeatConfig:
        """Read settings from a mapping, also with names like `intervalMs`; others are ignored.

        Values that cannot be read keep their default.
        """
        data = asdict(defaults or cls())
        known = {field.name for field in fields(cls)}
        for key, value in (options or {}).items():
            name = _snake(key)
            if name in known:
                data[name] = _read(name, value, data[name])
        return cls(**data)


def _snake(key: object) -> str:
    return "".join([f"_{c.lower()}" if c.isupper() else c for c in str(key)]).lstrip("_")


def _read(name: str, value: object, default: Any) -> Any:
    if name in ("enabled", "dependent"):
        return value.strip().lower() in _TRUE if isinstance(value, str) else bool(value)
    try:
        number = int(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        return default
    return number if number >= 0 or name != "max_missed_heartbeats" else default


class HeartbeatClient:
    """A client with the methods of the original's, which sends nothing: the runtime does."""

    def __init__(
        self,
        stub: Any,
        session_id: str,
        config: HeartbeatConfig | None = None,
        *,
        loop: Any = None,
        on_threshold_exceeded: Callable[[int], Any] | None = None,
    ) -> None:
        """Keep the settings; `on_threshold_exceeded` is never called."""
        self.session_id = session_id
        self._config = config or HeartbeatConfig()
        self._running = False

    @property
    def config(self) -> HeartbeatConfig:
        """The settings."""
        return self._config

    def start(self) -> bool:
        """Mark the client as running; return `False` if it runs already or is not enabled."""
        if not self._config.enabled or self._running:
            return False
        self._running = True
        return True

    async def stop(self) -> None:
        """Mark the client as stopped. Heartbeats of the runtime continue."""
        self._running = False

    def status(self) -> dict[str, Any]:
        """Return the state in the original's form; no heartbeat is ever missed here."""
        return {
            "enabled": self._config.enabled,
            "missed_heartbeats": 0,
            "last_ping_monotonic": None,
            "last_success_monotonic": None,
            "running": self._running,
            "dependent": self._config.dependent,
        }

    async def ping_once(self) -> None:
        """Do nothing; return `None`, as the original without an answer does."""
