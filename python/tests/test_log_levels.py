"""The level of a record of `logging` accompanies the lines that a worker prints."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PACKAGE_DIR = Path(__file__).resolve().parent.parent
BEGIN = """
import io, sys
sys.path.insert(0, sys.argv[1])
from snakepit_bridge._observe import log_levels
"""
WATCH = "log_levels.watch()\n"


def printed(body, begin=WATCH, **pipes):
    program = BEGIN + begin + textwrap.dedent(body)
    arguments = [sys.executable, "-c", program, str(PACKAGE_DIR)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
    done = subprocess.run(arguments, check=True, text=True, **pipes)
    return done.stdout, done.stderr


@pytest.mark.parametrize("begin", [WATCH, "import logging\n" + WATCH])
def test_every_line_of_a_record_has_its_level(begin):
    _, said = printed(
        """
        import logging
        print("plain", file=sys.stderr)
        logging.warning("one\\ntwo")
        logging.getLogger("a").error("no handler is configured")
        logging.info("below the level")
        """,
        begin,
    )
    assert said == (
        "plain\n\x1e30\x1eWARNING:root:one\n\x1e30\x1etwo\n"
        "\x1e40\x1eERROR:a:no handler is configured\n"
    )


def test_what_the_program_configures_stays():
    out, said = printed(
        """
        import logging
        logging.basicConfig(level=logging.DEBUG, format="%(message)s!", stream=sys.stdout)
        logging.debug("quiet")
        logging.critical("loud")
        text = io.StringIO()
        logging.getLogger("b").addHandler(logging.StreamHandler(text))
        logging.getLogger("b").propagate = False
        logging.getLogger("b").error("elsewhere")
        print(repr(text.getvalue()))
        """
    )
    assert out == "\x1e10\x1equiet!\n\x1e50\x1eloud!\n'elsewhere\\n'\n"
    assert said == ""


def test_only_the_pipes_of_the_host_get_levels(tmp_path):
    body = 'import logging\nlogging.warning("saved")\n'
    with open(tmp_path / "log", "w") as log:
        printed(body, stderr=log)
    assert (tmp_path / "log").read_text() == "WARNING:root:saved\n"


def test_a_record_that_cannot_be_formatted_is_reported_as_ever():
    _, said = printed(
        """
        import logging
        logging.warning("%d", "x")
        logging.warning("fine")
        """
    )
    assert "--- Logging error ---" in said and "\x1e30\x1eWARNING:root:fine\n" in said
