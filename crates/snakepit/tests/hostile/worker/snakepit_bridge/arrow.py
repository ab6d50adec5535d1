"""Messages of Arrow streams, made by hand: what no library would write."""

import struct

SCHEMA, DICTIONARY, BATCH = 1, 2, 3
NULL, INT, UTF8, BOOL, STRUCT, LIST = 1, 2, 5, 6, 13, 12
END = b"\xff\xff\xff\xff\0\0\0\0"


class Table:
    """A table of a flat buffer: numbers as a format and a value, other parts, or nothing."""

    def __init__(self, *fields):
        self.fields = fields

    def parts(self):
        return [field for field in self.fields if isinstance(field, (Table, Vector))]

    def place(self, at):
        vtable = 4 + 2 * len(self.fields)
        self.vtable = at + -at % 2
        self.at = self.vtable + vtable + -(self.vtable + vtable) % 8
        return self.at + 8 + 8 * len(self.fields)

    def write(self, out):
        fields = [8 + 8 * index if field is not None else 0 for index, field in enumerate(self.fields)]
        struct.pack_into(f"<HH{len(fields)}H", out, self.vtable, 4 + 2 * len(fields), 8 + 8 * len(fields), *fields)
        struct.pack_into("<i", out, self.at, self.at - self.vtable)
        for offset, field in zip(fields, self.fields, strict=True):
            if isinstance(field, tuple):
                struct.pack_into("<" + field[0], out, self.at + offset, field[1])
            elif field is not None:
                struct.pack_into("<I", out, self.at + offset, field.at - self.at - offset)


class Vector:
    """Parts that are referred to, or bytes of so many items; a text ends with a zero."""

    def __init__(self, items, count=None, end=b""):
        self.items, self.count, self.end = items, len(items) if count is None else count, end

    def parts(self):
        return [] if isinstance(self.items, bytes) else self.items

    def place(self, at):
        # What follows the length begins at a multiple of 8.
        self.at = at + (4 - at) % 8
        size = len(self.items) if isinstance(self.items, bytes) else 4 * len(self.items)
        return self.at + 4 + size + len(self.end)

    def write(self, out):
        struct.pack_into("<I", out, self.at, self.count)
        if isinstance(self.items, bytes):
            data = self.items + self.end
            out[self.at + 4 : self.at + 4 + len(data)] = data
            return
        for index, item in enumerate(self.items):
            at = self.at + 4 + 4 * index
            struct.pack_into("<I", out, at, item.at - at)


def text(value):
    return Vector(value if isinstance(value, bytes) else value.encode(), end=b"\0")


def flat(root):
    """A flat buffer. A part that is referred to from several places is written once."""
    order, seen, left = [], set(), [(root, False)]
    while left:
        part, done = left.pop()
        if done:
            order.append(part)
        elif id(part) not in seen:
            seen.add(id(part))
            left.append((part, True))
            left.extend((inner, False) for inner in part.parts())
    # References lead forwards.
    order.reverse()
    at = 4
    for part in order:
        at = part.place(at)
    out = bytearray(at)
    struct.pack_into("<I", out, 0, root.at)
    for part in order:
        part.write(out)
    return bytes(out)


def message(kind, header, body=b"", metadata=None):
    data = flat(Table(("h", 4), ("B", kind), header, ("q", len(body)), metadata))
    data += b"\0" * (-len(data) % 8)
    return b"\xff\xff\xff\xff" + struct.pack("<I", len(data)) + data + body


def field(name, kind=INT, of=None, children=(), dictionary=None):
    of = Table(("i", 8), ("B", 1)) if of is None and kind == INT else of or Table()
    name = name if isinstance(name, Vector) else text(name)
    return Table(name, ("B", 1), ("B", kind), of, dictionary, Vector(list(children)))


def schema(*fields, metadata=None):
    return message(SCHEMA, Table(("h", 0), Vector(list(fields)), metadata))


def _batch(length, nodes, buffers):
    nodes = Vector(b"".join(struct.pack("<qq", *node) for node in nodes), len(nodes))
    buffers = Vector(b"".join(struct.pack("<qq", *buffer) for buffer in buffers), len(buffers))
    return Table(("q", length), nodes, buffers)


def batch(length, nodes, buffers, body=b""):
    return message(BATCH, _batch(length, nodes, buffers), body)


def dictionary(number, data, delta=False):
    """A dictionary of texts."""
    ends = [0]
    for one in data:
        ends.append(ends[-1] + len(one))
    offsets = struct.pack(f"<{len(ends)}i", *ends)
    offsets += b"\0" * (-len(offsets) % 8)
    body = offsets + b"".join(data)
    buffers = [(0, 0), (0, 4 * len(ends)), (len(offsets), ends[-1])]
    table = _batch(len(data), [(len(data), 0)], buffers)
    return message(DICTIONARY, Table(("q", number), table, ("B", delta)), body + b"\0" * (-len(body) % 8))


def encoding(number):
    return Table(("q", number), Table(("i", 8), ("B", 1)))


# Streams that say little and mean much.


def shared_name():
    name = text("n" * (1 << 20))
    return schema(*[field(name) for _ in range(2000)])


def doubling(levels=30):
    one = field("x")
    for _ in range(levels):
        one = field("x", STRUCT, children=[one, one])
    return schema(one)


def many_schemas():
    return schema(field("x")) + doubling(18) * 10_000


def shared_metadata():
    pair = Table(text("k"), text("v" * (1 << 20)))
    pairs = [Table(text(f"k{index}"), pair.fields[1]) for index in range(2000)]
    return schema(field("x"), metadata=Vector(pairs))


def shared_buffers(columns=2000, rows=1 << 20):
    fields = [field(str(index)) for index in range(columns)]
    nodes, buffers = [(rows, 0)] * columns, [(0, 0), (0, rows)] * columns
    return schema(*fields) + batch(rows, nodes, buffers, bytes(rows))


def growing_dictionary(parts=20_000):
    keys = batch(1, [(1, 0)], [(0, 0), (0, 1)], bytes(8))
    first = schema(field("x", UTF8, dictionary=encoding(1))) + dictionary(1, [b"v" * (1 << 20)])
    return first + (dictionary(1, [b"w"], delta=True) + keys) * parts


def long_name_in_many_rows(rows=8 << 20):
    one = batch(rows, [(rows, 0)], [(0, 0), (0, rows // 8)], bytes(rows // 8))
    return schema(field("n" * (1 << 20), BOOL)) + one


def one_cell_of_many_texts(items=1 << 20):
    inner = field("item", UTF8, dictionary=encoding(1))
    ends = struct.pack("<ii", 0, items)
    nodes, buffers = [(1, 0), (items, 0)], [(0, 0), (0, 8), (0, 0), (8, items)]
    first = schema(field("x", LIST, children=[inner])) + dictionary(1, [b"v" * (1 << 20)])
    return first + batch(1, nodes, buffers, ends + bytes(items))


def rows_of_nothing():
    many = [field(str(index), NULL) for index in range(2000)]
    return schema(*many) + batch(60_000, [(60_000, 60_000)] * 2000, [])


def empty_batches(count=50_000):
    return schema(field("x")) + batch(0, [(0, 0)], [(0, 0), (0, 0)]) * count


def many_columns(count=20_000):
    fields = [field(str(index)) for index in range(count)]
    return schema(*fields) + batch(0, [(0, 0)] * count, [(0, 0), (0, 0)] * count)


def absurd_lengths():
    return schema(field("x")) + batch(2**62, [(2**62, 0)], [(0, 0), (0, 2**62)])


def offsets_backwards():
    offsets = struct.pack("<4i", 0, 2**31 - 1, -5, 1)
    one = batch(3, [(3, 0)], [(0, 0), (0, 16), (16, 8)], offsets + bytes(8))
    return schema(field("x", UTF8)) + one


def escapes():
    """A type that JSON lacks, in a column whose name is no text for a terminal."""
    return schema(field("\x1b]0;PWN\x07\x1b[2J\nERROR forged", 11, Table(("h", 0))))


STREAMS = [
    shared_name, doubling, many_schemas, shared_metadata, shared_buffers, growing_dictionary, long_name_in_many_rows,
    one_cell_of_many_texts, rows_of_nothing, empty_batches, many_columns, absurd_lengths, offsets_backwards, escapes,
]  # fmt: skip
