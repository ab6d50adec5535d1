"""A small machine-learning flow without libraries: data, training as a stream, predictions."""

import math
import random
from typing import Any

from snakepit_bridge import Context, tool

from .arrays import embedding

MODEL = "showcase-model"


def _line(size: int) -> tuple[list[float], list[float]]:
    """Return points near the line y = 3x + 2."""
    chooser = random.Random(size)
    xs = [chooser.uniform(-1, 1) for _ in range(size)]
    return xs, [3 * x + 2 + chooser.gauss(0, 0.05) for x in xs]


def _loss(xs: list[float], ys: list[float], slope: float, offset: float) -> float:
    return sum((slope * x + offset - y) ** 2 for x, y in zip(xs, ys, strict=True)) / len(xs)


class Learning:
    """Tools that fit a line and keep it as a program of the session."""

    @tool
    def load_sample_data(self, size: int = 100) -> dict[str, list[float]]:
        """Return the training data."""
        xs, ys = _line(size)
        return {"x": xs, "y": ys}

    @tool
    def preprocess_data(self, values: list[float]) -> list[float]:
        """Scale values to mean 0 and variance 1."""
        if not values:
            return []
        mean = math.fsum(values) / len(values)
        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)) or 1.0
        return [(value - mean) / spread for value in values]

    @tool
    def train_model(self, ctx: Context, epochs: int = 20, rate: float = 0.3, size: int = 100):
        """Stream the losses by epoch; store the model in the session at the end."""
        xs, ys = _line(size)
        slope = offset = 0.0
        for epoch in range(1, epochs + 1):
            ctx.raise_if_cancelled()
            errors = [slope * x + offset - y for x, y in zip(xs, ys, strict=True)]
            slope -= rate * 2 * sum(e * x for e, x in zip(errors, xs, strict=True)) / size
            offset -= rate * 2 * sum(errors) / size
            yield {"epoch": epoch, "epochs": epochs, "loss": _loss(xs, ys, slope, offset)}
        if ctx.session_id is not None:
            ctx.put_program(MODEL, {"slope": slope, "offset": offset})
        yield {"is_final": True, "slope": slope, "offset": offset}

    @tool
    def cross_validate(self, slope: float, offset: float, cv_folds: int = 5) -> list[float]:
        """Return the loss of a line on each part of the data."""
        xs, ys = _line(100)
        return [_loss(xs[i::cv_folds], ys[i::cv_folds], slope, offset) for i in range(cv_folds)]

    @tool
    def predict_single(self, ctx: Context, x: float) -> float:
        """Return the prediction of the session's model, which any worker may have trained."""
        model = ctx.get_program(MODEL)
        return model["slope"] * x + model["offset"]

    @tool
    def predict_batch_with_embeddings(
        self, texts: list[str], embedding_dim: int = 64
    ) -> list[dict[str, Any]]:
        """Return a score and a vector for each text."""
        out: list[dict[str, Any]] = []
        for text in texts:
            vector = embedding(text, embedding_dim)
            out.append({"text": text, "score": abs(vector[0]), "embedding": vector.tolist()})
        return out
