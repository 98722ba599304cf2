"""Mean regret: cases by hand, and against a loop."""

import numpy as np
import pytest

from yoto_tf.errors import InputError
from yoto_tf.evaluation import mean_regret


def test_regret_by_hand():
    # 1 above the best at the first beta, 0 at the second, 5 at the third.
    assert mean_regret([3.0, 2.0, 9.0], [2.0, 2.0, 4.0]) == 2.0
    assert mean_regret([2.0, 2.0, 4.0], [2.0, 2.0, 4.0]) == 0.0
    # Against a baseline alone it can win.
    assert mean_regret([1.0, 2.0], [3.0, 2.0]) == -1.0


def test_regret_of_several_methods_is_that_of_a_loop():
    losses = np.random.default_rng(0).normal(1000.0, 50.0, (5, 4, 7))
    best = losses.min(0)
    received = mean_regret(losses, best)
    assert received.shape == (5, 4)
    for m in range(5):
        for s in range(4):
            terms = [losses[m, s, b] - min(losses[:, s, b]) for b in range(7)]
            assert received[m, s] == pytest.approx(sum(terms) / 7)
    assert (received >= 0).all()


def test_a_constant_added_to_every_loss_changes_nothing():
    losses = np.random.default_rng(1).normal(size=(3, 6))
    best = losses.min(0)
    np.testing.assert_allclose(
        mean_regret(losses + 100, best + 100), mean_regret(losses, best)
    )


@pytest.mark.parametrize(
    ("losses", "best"), [([], []), (1.0, 1.0), ([1.0, 2.0], [1.0])]
)
def test_losses_of_other_points_are_refused(losses, best):
    with pytest.raises(InputError, match="best ones of the same points"):
        mean_regret(losses, best)
