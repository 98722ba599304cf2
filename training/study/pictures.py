"""Reconstructions of the same test images by the models of a study."""

import textwrap

import numpy as np

from training.figures import image_grid
from training.study.runner import is_finished
from training.study.runner import run_directory

_COLUMNS = 10
_MOST_BETAS = 4


def pictured_runs(planned, spec):
    """Chooses which runs are shown at which beta.

    The first fixed-weight method and the first other one, of the smallest
    seed and width, at up to four of the study's betas, ends included.

    Returns:
        list of `(beta, [PlannedRun, ...])`, fixed-weight first; betas at
        which one of the two has no run are left out.
    """
    fixed = spec.fixed_methods[:1]
    others = [m for m in spec.methods if m not in spec.fixed_methods][:1]
    betas = sorted(float(b) for b in spec.betas)
    index = np.linspace(0, len(betas) - 1, min(_MOST_BETAS, len(betas)))
    rows = []
    for beta in (betas[int(round(i))] for i in index):
        runs = [_smallest(planned, m, beta) for m in fixed + others]
        if all(runs):
            rows.append((beta, runs))
    return rows


def _smallest(planned, method, beta):
    candidates = [
        one for one in planned if one.method == method and beta in one.betas
    ]
    return min(candidates, key=lambda r: (r.width, r.seed), default=None)


def reconstructions_figure(planned, folder, spec):
    """Test images, and below them for every beta the reconstruction of the
    fixed-weight model and that of the conditional one (the seed report's
    figure 2).

    Returns:
        A matplotlib `Figure`, None if one of the runs is not finished.
    """
    from training.test_images import load_test_images

    chosen = pictured_runs(planned, spec)
    runs = {r.name: r for _, pair in chosen for r in pair}
    if not runs or not all(is_finished(folder, r) for r in runs.values()):
        return None
    first = next(iter(runs.values()))
    images, _ = load_test_images(run_directory(folder, first))
    images = images[:_COLUMNS]
    models = {
        name: run_directory(folder, r).load_model() for name, r in runs.items()
    }
    rows, labels = [images / 255.0], ["test image"]
    for beta, pair in chosen:
        for one in pair:
            rows.append(models[one.name].reconstruct(images, beta))
            labels.append(row_label(spec.title(one.method), beta))
    return image_grid(rows, labels, "Test images and their reconstructions")


def row_label(title, beta):
    """Names a row, in lines that fit before the grid."""
    return textwrap.fill(title, 14) + f"\n$\\beta$ = {beta:g}"
