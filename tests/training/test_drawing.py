"""Figures are the same files whatever the environment says of matplotlib."""

import os
import pathlib
import subprocess
import sys
import types

import matplotlib
import numpy as np
import pytest

from training import drawing
from training import figures
from training import line_figures
from yoto_tf.families import Column
from yoto_tf.families import LineFigure
from yoto_tf.families import get_family

ROOT = pathlib.Path(__file__).parents[2]
# What users set, and what cannot work where a file is drawn.
STYLE = {
    "text.usetex": True,
    "font.size": 31.0,
    "savefig.dpi": 20.0,
    "savefig.format": "svg",
    "savefig.transparent": True,
    "lines.linewidth": 9.0,
    "axes.facecolor": "black",
}
DRAW = """
import sys
from training import drawing

@drawing.own_style
def draw():
    figure = drawing.Figure(figsize=(2, 2))
    figure.add_subplot().plot([1, 2])
    figure.savefig(sys.argv[1], metadata={"Software": None})

draw()
print(drawing.matplotlib.rcParams._get_backend_or_none())
"""


def drawn(to, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    ended = subprocess.run(
        [sys.executable, "-c", DRAW, to],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return to.read_bytes(), ended.stdout.strip()


@pytest.mark.slow
def test_neither_variables_nor_files_change_what_is_drawn(tmp_path):
    rc = tmp_path / "matplotlibrc"
    rc.write_text("".join(f"{k}: {v}\n" for k, v in STYLE.items()))
    plain, _ = drawn(tmp_path / "plain.png")
    assert plain.startswith(b"\x89PNG")
    for backend in (
        # What a notebook hands to the programs that it starts.
        "module://matplotlib_inline.backend_inline",
        "nonsense",
        "tkagg",
    ):
        same, kept = drawn(
            tmp_path / "x.png",
            MPLBACKEND=backend,
            MATPLOTLIBRC=str(rc),
            DISPLAY=":99",
        )
        assert same == plain
        # A backend that is there stays the process's own.
        if backend == "tkagg":
            assert kept == "tkagg"


def saved(path):
    rows = [
        {"beta": b, "rate": 9 / b, "distortion": 5 * b, "active_units": 1}
        for b in (1.0, 2.0, 4.0)
    ]
    for name, figure in {
        "curve": figures.trade_off_figure(
            {"a": rows, "b": rows[:2]}, get_family("vae")
        ),
        "grid": figures.image_grid([[[[[0.5]]]] * 2], ["row"], "title"),
        "search": figures.search_figure(
            [(0, 2.0, 1), (1, None, 1)], "x", "min"
        ),
    }.items():
        figures.save(figure, path / f"{name}.png")
        yield (path / f"{name}.png").read_bytes()


def test_all_figures_keep_their_style_and_leave_the_users(tmp_path):
    plain = list(saved(tmp_path))
    with matplotlib.rc_context(STYLE):
        assert list(saved(tmp_path)) == plain
        assert matplotlib.rcParams["font.size"] == 31.0


def test_an_error_while_drawing_restores_the_users_style():
    @drawing.own_style
    def fail():
        assert matplotlib.rcParams["font.size"] == 10.0
        raise ArithmeticError

    with matplotlib.rc_context({"font.size": 31.0}):
        with pytest.raises(ArithmeticError):
            fail()
        assert matplotlib.rcParams["font.size"] == 31.0


def test_a_run_looks_the_same_in_all_panels():
    rows = [{"beta": float(2**i), "x": i, "y": i * i} for i in range(10)]
    lines = [
        LineFigure(name, "", Column(name, name, ".1f", "nats")) for name in "xy"
    ]
    # The second score is not there for the first run.
    panels = [({"a": rows, "b": rows[:2]}, lines[0]), ({"b": rows}, lines[1])]
    figure = line_figures.panels_figure(panels, get_family("vae"))
    x, y = figure.axes
    assert list(x.lines[0].get_ydata()) == list(range(10))
    assert list(y.lines[0].get_ydata()) == [i * i for i in range(10)]
    of_a, of_b = (container.lines[0] for container in x.containers)
    assert of_b.get_color() == y.lines[0].get_color() != of_a.get_color()
    assert list(x.get_xticks()) == list(y.get_xticks()) == [1, 4, 16, 64, 256]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["a", "b"]


def test_a_score_that_should_be_its_parameter_is_drawn_apart_from_it():
    family = types.SimpleNamespace(parameters=("level",))
    rows = [{"level": v, "x": v + 0.01} for v in (0.05, 0.5, 0.95)]
    line = LineFigure("x", "", Column("x", "share", ".1f"), aim="level")
    (axes,) = line_figures.line_figure({"a": rows}, family, line).axes
    drawn = axes.containers[0].lines[0].get_ydata()
    np.testing.assert_allclose(np.array(drawn, float), 0.01)
    assert axes.get_ylabel() == "share less level"
    assert [0.0, 0.0] in [list(x.get_ydata()) for x in axes.lines]


@pytest.mark.parametrize(
    ("scores", "named"),
    [
        ((0.03, 0.4), {"0.03", "0.05", "0.07", "0.1", "0.2", "0.3"}),
        ((0.31, 0.88), {f"0.{i}" for i in range(3, 10)}),
    ],
)
def test_ticks_of_a_logarithmic_score_leave_each_other_room(scores, named):
    family = types.SimpleNamespace(parameters=("miss",))
    rows = [{"miss": float(i), "x": x} for i, x in enumerate(scores, 1)]
    line = LineFigure("x", "", Column("x", "x", ".1f"), log=True)
    figure = line_figures.line_figure({"a": rows}, family, line)
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    ticks = axes.yaxis.get_ticklabels(which="both")
    found = {
        t.get_text() for t in ticks if low <= t.get_position()[1] <= high
    } - {""}
    assert found == named


def test_a_further_parameter_has_a_line_for_each_of_its_values():
    family = types.SimpleNamespace(parameters=("miss", "alarm"))
    rows = [
        {"miss": miss, "alarm": alarm, "x": miss * alarm}
        for miss in (1.0, 2.0, 4.0)
        for alarm in (3.0, 5.0)
    ]
    line = LineFigure("x", "", Column("x", "x", ".1f"))
    (axes,) = line_figures.line_figure({"a": rows}, family, line).axes
    found = {
        container.get_label(): list(container.lines[0].get_ydata())
        for container in axes.containers
    }
    assert found == {"alarm=3": [3, 6, 12], "alarm=5": [5, 10, 20]}
    figure = line_figures.panels_figure(
        [({"a": rows, "b": rows}, line)], family
    )
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["a, alarm=3", "a, alarm=5", "b, alarm=3", "b, alarm=5"]
