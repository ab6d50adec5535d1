"""Arrow streams that say little and mean much, and lists that claim more than they have."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from libraries import library
from test_frame_damage import block
from test_frames import unpack

pytestmark = pytest.mark.native

pa = library("pyarrow")

_HOSTILE = Path(__file__).parents[2] / "crates/snakepit/tests/hostile/worker/snakepit_bridge"


def _arrow():
    spec = importlib.util.spec_from_file_location("hostile_arrow", _HOSTILE / "arrow.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


arrow = _arrow()

#: Of pyarrow, pandas, and polars.
KINDS = (5, 1, 3)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (arrow.shared_name, "malformed"),
        (arrow.doubling, "malformed"),
        (arrow.shared_metadata, "malformed"),
        (arrow.many_schemas, "behind its beginning"),
        (arrow.shared_buffers, "share their bytes"),
        (arrow.growing_dictionary, "comes in parts"),
        (arrow.absurd_lengths, "share their bytes"),
        (arrow.offsets_backwards, ""),
    ],
)
def test_what_would_grow_without_measure_is_refused(make, reason):
    stream = make() + arrow.END
    for kind in KINDS:
        with pytest.raises(ValueError, match=f"cannot be read: .*{reason}"):
            unpack(block(stream, kind))


def test_a_type_of_pickled_objects_is_refused():
    name = arrow.Table(arrow.text("ARROW:extension:name"), arrow.text("arrow.py_extension_type"))
    field = arrow.field("x")
    field.fields += (arrow.Vector([name]),)
    for kind in KINDS:
        with pytest.raises(ValueError, match="pickled objects"):
            unpack(block(arrow.schema(field), kind))


def test_the_same_without_sharing_is_read():
    fields = [arrow.field(f"name {index}") for index in range(3000)]
    deep = arrow.field("x")
    for _ in range(20):
        deep = arrow.field("x", arrow.LIST, children=[deep])
    for stream in (arrow.schema(*fields), arrow.schema(deep), arrow.empty_batches(100)):
        assert unpack(block(stream)).num_rows == 0
    schema = pa.schema(
        [pa.field("t", pa.timestamp("us", "Europe/Berlin"), metadata={"unit": "x" * 1000})] * 5,
        metadata={"more": "y" * 1000},
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema):
        pass
    assert unpack(block(sink.getvalue().to_pybytes())).schema.equals(schema, check_metadata=True)


def test_lists_that_claim_all_that_is_left_take_no_memory_for_it():
    script = """
import resource, struct
from snakepit_bridge import _native

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
left = 2 << 20
data = b"".join(b"\\xdd" + struct.pack(">I", left - 5 * level) for level in range(1, 128))
data += b"\\x90" * (left - len(data))
try:
    _native.unpack(data)
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cut short" in done.stdout
