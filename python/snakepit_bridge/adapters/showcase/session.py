"""Variables of the session: they outlive the worker, and both sides see their changes."""

from typing import Any

from snakepit_bridge import Context, HostError, tool

COUNTER = "counter"


class Session:
    """Tools for state that belongs to the session, not to the worker."""

    @tool
    def init_session(self, ctx: Context, owner: str = "showcase") -> dict[str, Any]:
        """Register the counter if it is new, and sign the session's metadata."""
        if COUNTER not in ctx:
            ctx.register_variable(COUNTER, "integer", 0, {"min": 0}, {"unit": "calls"})
        ctx.update_metadata(owner=owner)
        return ctx.session_info()

    @tool
    def set_counter(self, ctx: Context, value: int) -> int:
        """Set the counter; return its new version. The host rejects numbers below 0."""
        return ctx.set_variable(COUNTER, value)

    @tool
    def get_counter(self, ctx: Context) -> int:
        """Return the counter; 0 before it is set."""
        return ctx.get_variable(COUNTER, default=0)

    @tool
    def increment_counter(self, ctx: Context, by: int = 1) -> int:
        """Add to the counter; no increment is lost, however many workers add at once."""
        if COUNTER not in ctx:
            ctx[COUNTER] = 0
        return ctx.update_variable(COUNTER, lambda value: value + by)

    @tool
    def list_variables(self, ctx: Context, prefix: str = "") -> list[dict[str, Any]]:
        """Return the variables of the session: name, type, version."""
        found = ctx.list_variables(prefix)
        return [{"name": v.name, "type": v.type, "version": v.version} for v in found]

    @tool
    def set_many(self, ctx: Context, values: dict[str, Any], atomic: bool = True) -> dict[str, Any]:
        """Set several variables with one request; return the versions, or the errors."""
        with ctx.batch(atomic=atomic) as batch:
            for name, value in values.items():
                batch[name] = value
        return {
            name: {"error": result.code} if isinstance(result, HostError) else result
            for name, result in batch.results.items()
        }

    @tool
    def watch_changes(self, ctx: Context, names: list[str] | None = None, count: int = 10):
        """Stream the next changes by any author."""
        with ctx.watch_variables(names) as watch:
            yield {"kind": "watching", "after": watch.position}
            for change in watch:
                yield {
                    "seq": change.seq,
                    "kind": change.kind,
                    "name": change.name,
                    "value": change.value,
                    "version": change.version,
                    "origin": change.origin,
                }
                count -= 1
                if count <= 0:
                    return

    @tool
    def save_program(self, ctx: Context, name: str, program: Any) -> list[str]:
        """Store a value under a name in the session; return the names that it has."""
        ctx.put_program(name, program)
        return ctx.list_programs()

    @tool
    def load_program(self, ctx: Context, name: str) -> Any:
        """Return the stored value."""
        return ctx.get_program(name)

    @tool
    def cleanup_session(self, ctx: Context) -> int:
        """Delete the session's variables; return their number."""
        names = list(ctx)
        for name in names:
            del ctx[name]
        return len(names)
