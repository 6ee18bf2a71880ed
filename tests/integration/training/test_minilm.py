"""The embedding model in NumPy against vectors that transformers computed with torch."""

from __future__ import annotations

import numpy as np
import pytest
from iterqr_server.models.progress import Silent
from iterqr_training.evaluate.minilm import find_minilm

# transformers' BertModel, mean of the last hidden states, normalized; first five of 384 dimensions
EXPECTED = {
    "pad thai": [0.00806, -0.023, -0.0081, 0.0316, -0.02008],
    "something warm for a sore throat": [-0.08622, 0.02336, -0.01644, 0.03849, 0.02935],
    "phở bò": [-0.04146, 0.02395, -0.02446, 0.02498, -0.0299],
}


@pytest.mark.model
@pytest.mark.timeout(300)
def test_vectors_are_those_of_the_published_model() -> None:
    model = find_minilm(Silent())
    found = model.embed(list(EXPECTED))
    assert np.abs(found[:, :5] - np.array(list(EXPECTED.values()))).max() < 2e-5
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-5)
    # A text's vector is its own, whatever stands beside it.
    assert np.abs(model.embed(["pad thai"])[0] - found[0]).max() < 1e-5
