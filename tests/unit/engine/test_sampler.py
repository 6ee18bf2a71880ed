from __future__ import annotations

import numpy as np
import pytest
from iterqr_server.engine.sampler import greedy


def test_the_likeliest_token_and_its_log_probability() -> None:
    samples = greedy(np.log(np.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]], np.float32)) + 7, [None, None])
    assert [sample.token_id for sample in samples] == [1, 0]
    assert [sample.logprob for sample in samples] == pytest.approx([np.log(0.5), np.log(0.9)], abs=1e-6)


def test_of_equals_the_lowest_id_wins() -> None:
    assert greedy(np.array([[1, 3, 3]], np.float32), [None])[0].token_id == 1


def test_large_logits_do_not_overflow() -> None:
    assert greedy(np.array([[1e4, -1e4]], np.float32), [None])[0].logprob == pytest.approx(0)


def test_no_rows_no_samples() -> None:
    assert greedy(np.zeros((0, 5), np.float32), []) == ()
