"""What the models of a study make of the same test examples."""

import textwrap

import numpy as np

from training.extrapolation import not_trained
from training.figures import image_grid
from training.study.runner import is_finished
from training.study.runner import run_directory
from yoto_tf.points import label

_COLUMNS = 10
_MOST_POINTS = 4


def pictured_runs(planned, spec):
    """Chooses which runs are shown at which point.

    The first fixed-weight method and the first other one, of the smallest
    seed and width, at up to four of the study's points, ends included.

    Returns:
        list of `(point, [PlannedRun, ...])`, fixed-weight first; points at
        which one of the two has no run are left out.
    """
    fixed = spec.fixed_methods[:1]
    others = [m for m in spec.methods if m not in spec.fixed_methods][:1]
    points = sorted(spec.points(), key=lambda p: tuple(p.values()))
    index = np.linspace(0, len(points) - 1, min(_MOST_POINTS, len(points)))
    rows = []
    for point in (points[int(round(i))] for i in index):
        runs = [_smallest(planned, m, point) for m in fixed + others]
        if all(runs):
            rows.append((point, runs))
    return rows


def _smallest(planned, method, point):
    candidates = [
        one for one in planned if one.method == method and point in one.points
    ]
    return min(candidates, key=lambda r: (r.width, r.seed), default=None)


def outputs_figure(planned, folder, spec):
    """Test examples, and below them for every point what the fixed-weight
    model and the conditional one make of them (the seed report's figure 2).

    Returns:
        A matplotlib `Figure`, None if one of the runs is not finished or the
        family has no pictures.
    """
    from training.test_split import load_test_split

    family = spec.model_family
    chosen = pictured_runs(planned, spec)
    runs = {r.name: r for _, pair in chosen for r in pair}
    if not runs or not all(is_finished(folder, r) for r in runs.values()):
        return None
    first = next(iter(runs.values()))
    examples, _ = load_test_split(run_directory(folder, first))
    examples = examples[:_COLUMNS]
    inputs = family.input_pictures(examples)
    if inputs is None:
        return None
    models = {
        name: run_directory(folder, r).load_model() for name, r in runs.items()
    }
    rows, labels = [inputs], ["test image"]
    for point, pair in chosen:
        if any(not_trained(models[one.name], [point]) for one in pair):
            # It is scored there, as an extrapolation; a call is refused.
            continue
        for one in pair:
            rows.append(
                family.output_pictures(models[one.name], examples, point)
            )
            labels.append(row_label(spec.title(one.method), point))
    return image_grid(rows, labels, "Test images and their reconstructions")


def row_label(title, point):
    """Names a row, in lines that fit before the grid."""
    return f"{textwrap.fill(title, 14)}\n{label(point)}"
