"""Telemetry without a host: nothing happens, nothing fails, and the rules hold."""

import asyncio
import fnmatch
import io
import json
import logging
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from snakepit_bridge import _redact, telemetry
from snakepit_bridge._observe import fields as _fields, sink
from snakepit_bridge.telemetry.backends.stderr import StderrBackend
from snakepit_bridge.telemetry.stream import TelemetryStream

PACKAGE_DIR = Path(__file__).resolve().parent.parent


def run(body, **env):
    program = f"import sys\nsys.path.insert(0, {str(PACKAGE_DIR)!r})\n" + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@given(st.text("ab.*?", max_size=12), st.text("ab.", max_size=12))
def test_globs_match_as_usual(pattern, name):
    assert sink.matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


def test_a_glob_of_many_stars_takes_no_time():
    assert not sink.matches("*a" * 60 + "b", "a" * 5000)


KINDS = [None, True, 7, -1, 0.5, float("nan"), "x", ["a", 1], {"a": 10, "root": 20, "b": "c"}]
KEYS = ["enabled", "sampling", "allow", "deny", "levels", "other"]


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(KINDS)))
def test_settings_of_any_kind_are_read(values):
    settings = sink.Settings(1, values)
    assert 0.0 <= settings.sampling <= 1.0
    assert isinstance(settings.allows("x", "tool.x"), bool)
    assert all(type(level) is int for level in settings.levels.values())


def test_deny_goes_before_allow():
    settings = sink.Settings(1, {"allow": ["tool.*"], "deny": ["tool.b*"]})
    assert settings.allows("tool.a") and settings.allows("a", "tool.a")
    assert not settings.allows("tool.bad") and not settings.allows("python.a")


@given(
    st.one_of(st.none(), st.text(), st.binary(), st.integers(), st.floats(), st.lists(st.text()))
)
def test_attributes_are_plain_and_short(value):
    found = _fields.attribute(value)
    assert type(found) in (bool, int, float, str)
    if type(found) is str:
        assert len(found.encode()) <= 1024
    if type(found) is int:
        assert -(1 << 63) <= found < 1 << 63


@given(st.text())
def test_names_are_clean(text):
    name = _fields.name(text, "thing")
    assert 1 <= len(name) <= 256 and _fields._ALLOWED.issuperset(name)


@given(st.text(), st.integers(3, 200))
def test_texts_are_cut_to_bytes(text, limit):
    cut = sink.clip(text.encode("utf-8", "replace").decode(), limit)
    assert len(cut.encode()) <= max(limit, 3)


def test_keys_of_secrets_are_masked_and_numbers_are_not():
    got = _fields.attributes({"api_key": "x", "X-Auth-Token": "y", "max_tokens": 7, "plain": "z"})
    assert got == {
        "api_key": "<redacted>",
        "X-Auth-Token": "<redacted>",
        "max_tokens": 7,
        "plain": "z",
    }


def test_outside_of_a_worker_all_is_quiet():
    out, said = run(
        """
        from snakepit_bridge import telemetry
        import asyncio, logging, os, threading

        assert telemetry.get_backend() is None and not telemetry.is_enabled()
        telemetry.emit("tool.x", {"n": 1}, {"a": "b"})
        with telemetry.span("a", n=1) as span:
            span.set_attribute("x", 1).add_event("y").fail("z")
            assert span.traceparent is None

        @telemetry.span("f")
        def f(): return 1

        @telemetry.span
        async def g(): return 2

        @telemetry.span("h")
        def h(): yield 3

        class C:
            @telemetry.span("s")
            @staticmethod
            def s(): return 4

            @telemetry.span("c")
            @classmethod
            def c(cls): return cls

        assert (f(), asyncio.run(g()), list(h()), C.s(), C.c()) == (1, 2, [3], 4, C)
        assert (f.__name__, g.__name__, h.__name__) == ("f", "g", "h")
        telemetry.counter("c").add(1)
        telemetry.gauge("g").set(1)
        telemetry.histogram("h").record(1)
        telemetry.flush()
        assert telemetry.correlation_id() is None and telemetry.traceparent() is None
        assert "TRACEPARENT" not in telemetry.environment({})
        assert telemetry.bind(f)() == 1
        logging.warning("as ever")
        print(os.system("exit 3") >> 8)
        """
    )
    assert (out, said) == ("3\n", "WARNING:root:as ever\n")


def test_a_worker_whose_extension_has_no_queue_loads():
    out, said = run(
        """
        import types
        from snakepit_bridge import telemetry
        from snakepit_bridge._observe import hooks
        native = types.SimpleNamespace()
        assert hooks.watched(lambda x: x + 1, native)(1) == 2
        native.telemetry_version = lambda: 1
        assert hooks.watched(lambda x: x + 1, native)(1) == 2
        telemetry.emit("x", {})
        import logging
        logging.error("as text")
        """
    )
    assert (out, said) == ("", "ERROR:root:as text\n")


def test_every_name_of_the_original_is_there():
    for name in telemetry.__all__:
        if name in ("SnakepitSpanExporter", "install_opentelemetry"):
            pytest.importorskip("opentelemetry.sdk")
        assert getattr(telemetry, name) is not None
    from snakepit_bridge import (
        HeartbeatClient as _client,
        HeartbeatConfig,
        ZeroCopyRef,
        configure_logging,
        get_logger,
    )
    from snakepit_bridge.otel_tracing import span
    from snakepit_bridge.telemetry.backends.base import TelemetryBackend
    from snakepit_bridge.telemetry.backends.grpc import GrpcBackend
    from snakepit_bridge.telemetry.manager import get_backend, is_enabled, set_backend

    assert telemetry.CORRELATION_HEADER == "x-snakepit-correlation-id"
    assert issubclass(GrpcBackend, TelemetryBackend)
    del HeartbeatConfig, ZeroCopyRef, configure_logging, get_logger, _client, span
    del get_backend, is_enabled, set_backend
    with pytest.raises(AttributeError, match="nothing_such"):
        telemetry.nothing_such


@pytest.fixture
def backend():
    from snakepit_bridge.telemetry import manager

    yield telemetry.set_backend
    manager._chosen.clear()


def test_a_backend_of_the_program_gets_the_events(backend, capsys):
    events = []

    class Own(telemetry.TelemetryBackend):
        def emit(self, event_name, measurements, metadata=None, correlation_id=None):
            events.append((event_name, dict(measurements), dict(metadata or {}), correlation_id))
            if event_name == "bad":
                raise RuntimeError("broken backend")

    backend(Own())
    assert telemetry.is_enabled()
    telemetry.emit("a", {"n": 1}, {"k": "v"}, "cid")
    telemetry.emit("bad", {})
    with pytest.raises(ValueError), telemetry.span("op", {"m": 1}, correlation_id="c2"):
        raise ValueError("no")
    assert events[0] == ("a", {"n": 1}, {"k": "v"}, "cid")
    assert [event[0] for event in events] == ["a", "bad", "op.start", "op.exception"]
    assert events[3][2] == {"m": 1, "error_type": "ValueError", "error_message": "no"}
    assert events[3][3] == "c2" and set(events[3][1]) == {"duration"}
    assert "broken backend" in capsys.readouterr().err
    backend(None)
    assert telemetry.get_backend() is None
    telemetry.emit("nowhere", {})


def test_the_backend_of_standard_error_writes_json(backend, capsys):
    backend(StderrBackend())
    telemetry.emit("tool.x", {"n": 1}, {"k": object}, "cid")
    line = capsys.readouterr().err
    assert line.startswith("TELEMETRY:{")
    event = json.loads(line.removeprefix("TELEMETRY:"))
    assert (event["event"], event["measurements"], event["correlation_id"]) == (
        "tool.x",
        {"n": 1},
        "cid",
    )


async def no_control():
    for message in ():
        yield message


def test_a_stream_keeps_what_comes_before_its_reader_and_counts_the_rest():
    stream = TelemetryStream(max_buffer=2)

    async def read():
        got = []
        async for event in stream.stream(no_control(), None):
            got.append(event)
            if len(got) == 2:
                thread = threading.Thread(target=stream.emit, args=("tool.c", {"n": 3}))
                thread.start()
                thread.join()
            if len(got) == 3:
                stream.close()
        return got

    for name in ("a", "b", "lost"):
        stream.emit(f"tool.{name}", {"n": 1, "flag": True, "text": "x"}, {"k": 1}, "cid")
    got = asyncio.run(read())
    assert [event.event_parts for event in got] == [["tool", "a"], ["tool", "b"], ["tool", "c"]]
    assert got[0].measurements == {"n": 1, "flag": 1, "text": "x"}
    assert (got[0].metadata, got[0].correlation_id) == ({"k": "1"}, "cid")
    assert stream.dropped_count == 1


def test_control_messages_of_a_stream():
    class Control:
        def __init__(self, which, **fields):
            self.which = which
            setattr(self, which, type("Part", (), fields))

        def WhichOneof(self, _):
            return self.which

    stream = TelemetryStream()
    stream._handle_control(Control("filter", allow=["tool.*"], deny=["tool.b*"]))
    for name in ("tool.a", "tool.b", "other"):
        stream.emit(name, {})
    stream._handle_control(Control("sampling", sampling_rate=7.0))
    assert stream.sampling_rate == 1.0
    stream._handle_control(Control("toggle", enabled=False))
    stream.emit("tool.a", {})
    assert [event.event_parts for event in stream._events] == [["tool", "a"]]


def test_correlation_ids():
    assert telemetry.get_correlation_id() is None
    assert telemetry.get_correlation_id("-") == "-"
    token = telemetry.set_correlation_id("one")
    assert (telemetry.correlation_id(), telemetry.outgoing_metadata([("a", "b")])) == (
        "one",
        [("a", "b"), ("x-snakepit-correlation-id", "one")],
    )
    record = logging.LogRecord("x", 20, __file__, 1, "m", (), None)
    assert telemetry.correlation_filter().filter(record) and record.correlation_id == "one"
    thread = threading.Thread(target=telemetry.reset_correlation_id, args=(token,))
    thread.start()
    thread.join()
    assert telemetry.correlation_id() == "one"
    telemetry.reset_correlation_id(token)
    telemetry.reset_correlation_id(token)
    telemetry.reset_correlation_id(None)
    assert telemetry.correlation_id() is None
    first, second = telemetry.new_correlation_id(), telemetry.new_correlation_id()
    assert first != second and len(first) == 32


def test_the_older_forms_of_spans():
    header = (telemetry.CORRELATION_HEADER.upper(), "cid-9")
    with telemetry.span("x", context_metadata=[header], attributes={"a": 1}):
        assert telemetry.get_correlation_id() == "cid-9"
    assert telemetry.get_correlation_id() is None
    with telemetry.otel_span("x", context_metadata=[header]) as span:
        assert span is None and telemetry.get_correlation_id() == "cid-9"
    with telemetry.otel_span("x"):
        assert len(telemetry.get_correlation_id()) == 32
    assert telemetry.get_correlation_id() is None


def test_tracing_is_set_up_once_and_records_have_ids():
    _, said = run(
        """
        import logging
        from snakepit_bridge import telemetry
        telemetry.setup_tracing()
        telemetry.setup_tracing()
        logging.basicConfig(format="%(correlation_id)s %(message)s")
        logging.warning("none")
        token = telemetry.set_correlation_id("cid-f")
        logging.warning("one")
        with telemetry.otel_span("x") as span:
            assert (span is None) == (telemetry.get_tracer() is None)
        """
    )
    assert said == "- none\ncid-f one\n"


def test_modules_are_watched_when_they_are_imported(tmp_path, monkeypatch):
    import importlib.util

    from snakepit_bridge._observe.on_import import when_imported

    (tmp_path / "watched_module.py").write_text("order = ['executed']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("first", "second"):
        when_imported("watched_module", lambda module, name=name: module.order.append(name))
    when_imported("watched_module", lambda module: 1 / 0)
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    # To look for it is not to import it.
    assert importlib.util.find_spec("watched_module") is not None
    import watched_module

    assert watched_module.order == ["executed", "first", "second"]
    assert "ZeroDivisionError" in text.getvalue()
    when_imported("watched_module", lambda module: module.order.append("now"))
    assert watched_module.order[-1] == "now"
    del sys.modules["watched_module"]


def test_a_key_without_a_text_takes_no_other_attribute_along():
    class Nameless:
        def __str__(self):
            raise ValueError("no name")

    given = {"first": 1, Nameless(): 2, "last": 3}
    assert _fields.attributes(given) == {"first": 1, "last": 3}


def test_a_long_text_is_looked_through_in_part_and_shows_no_secret(monkeypatch):
    seen = []
    redact = _redact.redact_secrets
    monkeypatch.setattr(
        _redact, "redact_secrets", lambda text: seen.append(len(text)) or redact(text)
    )
    for length in (100, 20_000, 5_000_000):
        shown = _fields.text("x" * length)
        assert len(shown.encode()) <= 1024 and shown.startswith("x" * 100)
    assert seen == [100, 8192, 8192]
    assert _fields.text("password='" + "s" * 30_000 + "' end") == f"password='{_redact.MASK}…"
    # A secret that is cut off there is not shown, although what is before it is short.
    token = f"eyJ{'a' * 40}.eyJ{'b' * 400}.{'c' * 43}"
    for before in range(7_500, 8_200, 25):
        assert "eyJaaa" not in _fields.text(f"password='{'s' * before}' {token} and more")
