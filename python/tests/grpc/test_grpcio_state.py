"""Variables, their changes, and programs."""

import struct

import grpc
import pytest
import snakepit_bridge_pb2 as pb
from wire import detail, fails


def test_variables(stub, session):
    def register(name, kind, constraints="", **value):
        request = pb.RegisterVariableRequest(
            session_id=session, name=name, type=kind, constraints_json=constraints
        )
        request.value.CopyFrom(pb.VariableValue(**value))
        return stub.RegisterVariable(request)

    assert register("i", "integer", '{"max": 10}', json="5").version == 1
    data = struct.pack("<4096f", *range(4096))
    buffer = pb.Buffer(dtype="float32", shape=[4096], data=data)
    register("e", "embedding", buffer=buffer)
    register("s", "string", msgpack=b"\xa2hi")
    register("l", "list", json='[1, 2, {"a": 3}]')

    request = pb.GetVariablesRequest(session_id=session, names=["s", "e", "no", "i"])
    text, embedding, missing, number = stub.GetVariables(request).results
    assert text.variable.value.json == '"hi"'
    request = pb.GetVariablesRequest(session_id=session, names=["l"])
    (items,) = stub.GetVariables(request).results
    assert items.variable.value.json == '[1,2,{"a":3}]'
    assert embedding.variable.value.buffer == buffer
    assert missing.error.code == "SP7101"
    assert number.variable.constraints_json == '{"max":10}'

    def item(name, text, version=0):
        return pb.VariableUpdate(
            name=name, value=pb.VariableValue(json=text), expected_version=version
        )

    items = [item("i", "6", 1), item("i", "11"), item("i", "7", 1), item("no", "1"), item("i", "{")]
    results = stub.SetVariables(pb.SetVariablesRequest(session_id=session, items=items)).results
    assert [it.version or it.error.code for it in results] == [
        2,
        "SP7104",
        "SP7106",
        "SP7101",
        "SP8010",
    ]
    batch = pb.SetVariablesRequest(
        session_id=session, items=[item("s", '"x"'), item("i", "99")], atomic=True
    )
    error = fails(grpc.StatusCode.FAILED_PRECONDITION, stub.SetVariables, batch)
    assert detail(error).code == "SP7104"

    request = pb.ListVariablesRequest(session_id=session)
    assert [it.name for it in stub.ListVariables(request).variables] == ["e", "i", "l", "s"]
    delete = pb.DeleteVariableRequest(session_id=session, name="i")
    stub.DeleteVariable(delete)
    # Deleting what is not there succeeds.
    stub.DeleteVariable(delete)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "integer"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"type": "nonsense", "value": {"json": "1"}}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"type": "integer", "value": {"json": "{"}}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"type": "integer", "value": {"msgpack": b"\xc1"}}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"type": "integer", "value": {"json": '"x"'}}, grpc.StatusCode.INVALID_ARGUMENT),
        (
            {
                "type": "tensor",
                "value": {"buffer": {"dtype": "float32", "shape": [2], "data": b"\0"}},
            },
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            {"type": "integer", "value": {"json": "1"}, "constraints_json": '{"what": 1}'},
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            {"session_id": "nobody", "type": "integer", "value": {"json": "1"}},
            grpc.StatusCode.NOT_FOUND,
        ),
    ],
)
def test_variables_that_cannot_be(stub, session, fields, code):
    request = pb.RegisterVariableRequest(**{"session_id": session, "name": "v", **fields})
    assert detail(fails(code, stub.RegisterVariable, request)).message


def test_changes(stub, session):
    stream = stub.WatchVariables(pb.WatchVariablesRequest(session_id=session, after=0))
    value = pb.VariableValue(json="1")
    request = pb.RegisterVariableRequest(session_id=session, name="v", type="integer", value=value)
    stub.RegisterVariable(request)
    change = next(stream)
    assert (change.seq, change.kind, change.name) == (1, pb.VariableChange.KIND_REGISTERED, "v")
    assert change.origin.startswith("client-")
    stub.DeleteVariable(pb.DeleteVariableRequest(session_id=session, name="v"))
    change = next(stream)
    assert (change.kind, change.HasField("value")) == (pb.VariableChange.KIND_DELETED, False)
    stub.CleanupSession(pb.CleanupSessionRequest(session_id=session))
    fails(grpc.StatusCode.NOT_FOUND, lambda: stream)


def test_programs(stub, session, transport):
    for owner in [session, ""]:
        name = f"p-{transport}"
        value = pb.VariableValue(json='{"steps":[1,2]}')
        stub.PutProgram(pb.PutProgramRequest(session_id=owner, name=name, value=value))
        assert stub.GetProgram(pb.GetProgramRequest(session_id=owner, name=name)).value == value
        assert name in stub.ListPrograms(pb.ListProgramsRequest(session_id=owner)).names
        stub.DeleteProgram(pb.DeleteProgramRequest(session_id=owner, name=name))
        gone = pb.GetProgramRequest(session_id=owner, name=name)
        fails(grpc.StatusCode.NOT_FOUND, stub.GetProgram, gone)
    fails(grpc.StatusCode.INVALID_ARGUMENT, stub.PutProgram, pb.PutProgramRequest(name="p"))
