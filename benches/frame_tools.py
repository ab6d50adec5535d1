"""A tool for data frames."""

import pandas as pd

from snakepit_bridge import tool


@tool
def echo(value: pd.DataFrame) -> pd.DataFrame:
    """Return the frame unchanged."""
    return value
