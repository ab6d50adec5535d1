"""A host in memory that answers the requests of tools as `proto/README.md` specifies.

`FakeContext` is what the native runtime makes for a call, with this host at its other end.
"""

import asyncio
import threading
import time

from snakepit_bridge import Cancelled, HostError
from snakepit_bridge._host import ops

CODES = {
    "unknown_variable": "SP7101",
    "exists": "SP7102",
    "type": "SP7103",
    "constraint": "SP7104",
    "stale": "SP7106",
    "unknown_program": "SP7201",
    "unknown_tool": "SP8001",
    "failed": "SP8005",
    "timeout": "SP8007",
    "over": "SP8009",
    "invalid": "SP8010",
    "stream": "SP8012",
}
TYPES = {
    "string": str,
    "integer": int,
    "float": (int, float),
    "boolean": bool,
    "choice": str,
    "module": str,
    "list": (list, frozenset),
    "map": dict,
}


class Refused(Exception):
    """An error reply."""

    def __init__(self, kind, message, help=""):
        super().__init__(message)
        self.code, self.message, self.help = CODES[kind], message, help

    def fields(self):
        return {"code": self.code, "message": self.message, "help": self.help}


class Session:
    def __init__(self, id):
        self.id = id
        self.metadata = {}
        self.variables = {}
        self.programs = {}
        self.changes = []
        #: Numbers of changes below this one are forgotten.
        self.first = 1


class Host:
    """Sessions and tools; `requests` lists the requested operations."""

    def __init__(self):
        self.sessions = {}
        self.programs = {}
        self.tools = {}
        self.streams = {}
        self.requests = []
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        #: Called before each request with (op, name, body), outside the lock.
        self.before = lambda op, name, body: None

    def add_tool(self, function, **options):
        item = {
            "name": options.pop("name", function.__name__),
            "description": function.__doc__ or "",
            "parameters": {},
            "returns": None,
            "streaming": False,
            "metadata": {},
            **options,
        }
        self.tools[item["name"]] = (item, function)

    def session(self, id):
        return self.sessions.setdefault(id, Session(id))

    def request(self, session_id, op, name, body, origin="worker"):
        self.before(op, name, body)
        with self.lock:
            self.requests.append(op)
            handler = HANDLERS.get(op)
            if handler is None:
                raise Refused("invalid", f"no operation {op}")
            return handler(self, self.session(session_id), name, body, origin)

    def close(self, call_streams):
        for number in call_streams:
            self.streams.pop(number, None)

    # Variables.

    def register(self, session, name, body, origin):
        if name in session.variables:
            raise Refused("exists", f"variable `{name}` exists already")
        variable = {
            "name": name,
            "type": body["type"],
            "metadata": body.get("metadata", {}),
            "constraints": body.get("constraints", {}),
            "version": 0,
            "value": None,
        }
        value = self.checked(variable, body["value"])
        session.variables[name] = variable
        return {"version": self.write(session, variable, value, "registered", origin)}

    def write(self, session, variable, value, kind, origin):
        variable["value"] = value
        variable["version"] += 1
        self.note(session, variable, kind, origin)
        return variable["version"]

    def note(self, session, variable, kind, origin):
        seq = session.first + len(session.changes)
        change = {"seq": seq, "kind": kind, "origin": origin}
        change.update((key, variable[key]) for key in ("name", "type", "version"))
        change["value"] = None if kind == "deleted" else variable["value"]
        session.changes.append(change)
        self.changed.notify_all()

    def checked(self, variable, value):
        kind, name = variable["type"], variable["name"]
        good = TYPES.get(kind)
        if good and (not isinstance(value, good) or (isinstance(value, bool) != (good is bool))):
            raise Refused("type", f"variable `{name}` is {kind}, got {type(value).__name__}")
        if kind == "float":
            value = float(value)
        if kind in ("embedding", "tensor"):
            value = as_lists(value)
        least = variable["constraints"].get("min")
        if least is not None and value < least:
            raise Refused("constraint", f"variable `{name}` must be at least {least}")
        return value

    def find(self, session, name):
        variable = session.variables.get(name)
        if variable is None:
            raise Refused("unknown_variable", f"no variable is named `{name}`", "register it")
        return variable

    def get(self, session, name, body, origin):
        if body is not None:
            return [self.item(session, one) for one in body["names"]]
        return dict(self.find(session, name))

    def item(self, session, name):
        try:
            return dict(self.find(session, name))
        except Refused as error:
            return {"name": name, "error": error.fields()}

    def set(self, session, name, body, origin):
        if body.get("atomic"):
            ready = [self.prepare(session, item) for item in body["items"]]
            return [
                {"name": v["name"], "version": self.write(session, v, value, "set", origin)}
                for v, value in ready
            ]
        out = []
        for item in body["items"]:
            try:
                variable, value = self.prepare(session, item)
            except Refused as error:
                out.append({"name": item["name"], "error": error.fields()})
            else:
                version = self.write(session, variable, value, "set", origin)
                out.append({"name": item["name"], "version": version})
        return out

    def prepare(self, session, item):
        variable = self.find(session, item["name"])
        expected(variable, item)
        return variable, self.checked(variable, item["value"])

    def delete(self, session, name, body, origin):
        if name not in session.variables and "expected_version" not in body:
            return False
        variable = self.find(session, name)
        expected(variable, body)
        del session.variables[name]
        self.note(session, variable, "deleted", origin)
        return True

    def list(self, session, name, body, origin):
        out = []
        for variable in session.variables.values():
            if variable["name"].startswith(body.get("prefix", "")):
                item = {key: value for key, value in variable.items() if key != "value"}
                out.append({**item, "size": 8})
        return out

    def changes(self, session, name, body, origin):
        current = session.first + len(session.changes) - 1
        if body["after"] is None:
            return {"changes": [], "next": current, "lagged": False}
        wanted = self.after(session, body)
        if not wanted and body["wait_us"]:
            self.changed.wait_for(lambda: self.after(session, body), body["wait_us"] / 1e6)
            wanted = self.after(session, body)
        found = wanted[: body["max"]]
        current = session.first + len(session.changes) - 1
        last = found[-1]["seq"] if len(found) < len(wanted) else current
        return {"changes": found, "next": last, "lagged": body["after"] < session.first - 1}

    def after(self, session, body):
        return [
            change
            for change in session.changes
            if change["seq"] > body["after"]
            and (body["names"] is None or change["name"] in body["names"])
        ]

    def forget_changes(self, session_id):
        with self.lock:
            session = self.session(session_id)
            session.first += len(session.changes)
            session.changes.clear()

    # Tools.

    def tools_list(self, session, name, body, origin):
        return [item for item, _ in self.tools.values()]

    def tool(self, name):
        if name not in self.tools:
            raise Refused("unknown_tool", f"no host tool is named `{name}`")
        return self.tools[name][1]

    def run(self, name, body):
        function = self.tool(name)
        try:
            return function(*body) if isinstance(body, list) else function(**(body or {}))
        except Refused:
            raise
        except Exception as error:
            raise Refused("failed", str(error)) from error

    def call(self, session, name, body, origin):
        return self.run(name, body)

    def open(self, session, name, body, origin):
        number = len(self.requests)
        self.streams[number] = [name, iter(self.run(name, body)), None]
        return {"stream": number}

    def next(self, session, name, body, origin):
        stream = self.streams.get(body["stream"])
        if stream is None:
            raise Refused("stream", "no such stream")
        if stream[2] is not None:
            raise stream[2]
        items = []
        # Small replies, so that a stream needs several.
        for _ in range(min(body["max"], 3)):
            try:
                items.append(next(stream[1]))
            except StopIteration:
                del self.streams[body["stream"]]
                return {"items": items, "done": True}
            except Exception as error:
                stream[2] = Refused("failed", str(error))
                if not items:
                    raise stream[2] from error
                break
        return {"items": items, "done": False}

    def close_stream(self, session, name, body, origin):
        stream = self.streams.pop(body["stream"], None)
        if stream is None:
            raise Refused("stream", "no such stream")
        stream[1].close()

    # Session and programs.

    def session_get(self, session, name, body, origin):
        return {
            "id": session.id,
            "metadata": dict(session.metadata),
            "created_age_s": 1.0,
            "ttl_s": 3600.0,
            "generation": 1,
            "variables": len(session.variables),
            "programs": len(session.programs),
        }

    def session_update(self, session, name, body, origin):
        if body["replace"]:
            session.metadata = {}
        session.metadata.update(body["metadata"])

    def place(self, session, body):
        return self.programs if body.get("global") else session.programs

    def program_put(self, session, name, body, origin):
        self.place(session, body)[name] = body["value"]

    def program_get(self, session, name, body, origin):
        if name not in self.place(session, body):
            raise Refused("unknown_program", f"no program is named `{name}`")
        return self.place(session, body)[name]

    def program_delete(self, session, name, body, origin):
        return self.place(session, body).pop(name, None) is not None

    def program_list(self, session, name, body, origin):
        return list(self.place(session, body))


HANDLERS = {
    ops.TOOLS_LIST: Host.tools_list,
    ops.TOOL_CALL: Host.call,
    ops.TOOL_OPEN: Host.open,
    ops.TOOL_NEXT: Host.next,
    ops.TOOL_CLOSE: Host.close_stream,
    ops.SESSION_GET: Host.session_get,
    ops.SESSION_UPDATE: Host.session_update,
    ops.VARIABLE_REGISTER: Host.register,
    ops.VARIABLE_GET: Host.get,
    ops.VARIABLE_SET: Host.set,
    ops.VARIABLE_DELETE: Host.delete,
    ops.VARIABLE_LIST: Host.list,
    ops.CHANGES: Host.changes,
    ops.PROGRAM_PUT: Host.program_put,
    ops.PROGRAM_GET: Host.program_get,
    ops.PROGRAM_DELETE: Host.program_delete,
    ops.PROGRAM_LIST: Host.program_list,
}


def expected(variable, item):
    version = item.get("expected_version")
    if version is not None and version != variable["version"]:
        raise Refused("stale", f"version {version} expected, it is {variable['version']}")


def as_lists(value):
    """Return plain lists of floats, the form in which a small tensor is sent."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return [as_lists(item) for item in value] if isinstance(value, (list, tuple)) else float(value)


def carried(value):
    """Return the value as it is after the wire: containers are new objects."""
    from snakepit_bridge._session.cache import copy

    return copy(list(value) if isinstance(value, tuple) else value)


class FakeContext:
    """The native context of one call of session `session_id`."""

    def __init__(self, host, session_id="s1", worker_id="worker-1"):
        self.host = host
        self.call_id = 7
        self.session_id = session_id
        self.worker_id = worker_id
        self.metadata = {}
        self.deadline = time.monotonic() + 60
        self.cancelled = False
        self.over = False

    def remaining(self):
        return max(0.0, self.deadline - time.monotonic())

    def raise_if_cancelled(self):
        if self.cancelled:
            raise Cancelled("cancelled")

    def _packed(self, value, depth):
        return value

    def _request(self, op, name, body, timeout):
        if self.over:
            raise HostError("the call is over", CODES["over"])
        self.raise_if_cancelled()
        try:
            reply = self.host.request(self.session_id, op, name, carried(body), self.worker_id)
        except Refused as error:
            raise HostError(error.message, error.code, error.help, "Refused") from None
        # The call may have ended, or been given up, while the request waited.
        if self.over:
            raise HostError("the call is over", CODES["over"])
        self.raise_if_cancelled()
        return carried(reply)

    async def _request_async(self, op, name, body, timeout):
        return await asyncio.to_thread(self._request, op, name, body, timeout)
