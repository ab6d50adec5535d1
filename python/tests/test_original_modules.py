"""Modules of the original that have little to do here: logging, heartbeats, references."""

import asyncio

import pytest
from test_telemetry_local import run

from snakepit_bridge.heartbeat import HeartbeatClient, HeartbeatConfig
from snakepit_bridge.zero_copy import ZeroCopyRef


@pytest.mark.parametrize(
    ("word", "shown"), [("debug", 4), ("warning", 2), ("error", 1), ("none", 0), ("", 1)]
)
def test_logging_is_set_up_by_the_environment(word, shown):
    _, said = run(
        """
        import logging
        from snakepit_bridge import configure_logging, get_logger
        configure_logging(force=True)
        configure_logging()
        for name in ("debug", "info", "warning", "error"):
            getattr(get_logger("x"), name)("said")
        assert get_logger("x").name == "snakepit.x"
        assert get_logger("snakepit.y").name == "snakepit.y"
        assert get_logger("snakepit_bridge.z").name == "snakepit.bridge.z"
        """,
        **({"SNAKEPIT_LOG_LEVEL": word} if word else {}),
    )
    assert said.count("said") == shown
    assert said.count("[corr=-]") == shown


def test_heartbeat_settings():
    config = HeartbeatConfig.from_mapping(
        {"intervalMs": "500", "maxMissedHeartbeats": -1, "timeout_ms": "x", "dependent": "off",
         "unknown": 1}
    )  # fmt: skip
    assert config == HeartbeatConfig(interval_ms=500, dependent=False)
    assert HeartbeatConfig.from_mapping(None, defaults=config) == config


def test_a_heartbeat_client_sends_nothing():
    class Stub:
        def __getattr__(self, name):
            raise AssertionError(f"{name} was called")

    client = HeartbeatClient(Stub(), "s", HeartbeatConfig(max_missed_heartbeats=0))
    assert client.start() is True and client.start() is False
    assert client.status()["running"] is True and client.status()["missed_heartbeats"] == 0

    async def use():
        assert await client.ping_once() is None
        await client.stop()
        await client.stop()

    asyncio.run(use())
    assert client.status()["running"] is False
    assert HeartbeatClient(None, "s", HeartbeatConfig(enabled=False)).start() is False


def test_references_keep_their_fields():
    ref = ZeroCopyRef.from_payload({"kind": "dlpack", "shape": [2], "bytes": 8})
    assert (ref.kind, ref.shape, ref.device, ref.metadata) == ("dlpack", [2], None, {})
    payload = ref.to_payload()
    assert payload["__snakepit_zero_copy__"] is True
    assert ZeroCopyRef(payload).to_payload() == payload
