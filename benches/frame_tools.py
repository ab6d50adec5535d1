"""Tools for values of numpy and pandas."""

import numpy as np
import pandas as pd

from snakepit_bridge import tool


@tool
def echo(value: pd.DataFrame) -> pd.DataFrame:
    """Return the frame unchanged."""
    return value


@tool
def number() -> float:
    """Return a float of Python."""
    return 0.5


@tool
def scalar() -> np.float64:
    """Return the same float as a scalar of numpy."""
    return np.float64(0.5)
