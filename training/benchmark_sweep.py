"""Examples per second over batch, width and size of images, as a figure."""

import os
import shlex
import sys

from training.benchmark_processes import compare
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.errors import InputError
from yoto_tf.families import get_preset

# What is asked of a preset, and with which words of `benchmark_step`.
BATCHES = (16, 32, 64, 128, 256, 512)
WIDTHS = (1, 2, 4)
SIZES = (32, 64, 128)


def drawn(preset, path, rounds, steps):
    """Measures a preset and draws the figure.

    Args:
        preset: of a family of images.
        path: of the figure; its suffix gives the format.
        rounds, steps: of `benchmark_processes.compare`.

    Returns:
        dict: `rows`, of each `across` (`batch`, `width`, `image size`),
        `value`, `batch_parts`, `examples_per_second`, and what `compare`
        says.

    Raises:
        InputError: for a preset without width or images, and one core.
    """
    known = get_preset(preset)
    base = getattr(known.config.model, "base_channels", None)
    if base is None or len(known.example_shape) != 3:
        raise InputError(
            "expected a preset of images whose network has base_channels, "
            f"received: {preset}"
        )
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        raise InputError("expected 2 cores or more for --sweep, received: 1")
    batch, size = known.config.training.batch_size, known.example_shape[0]
    points = [
        *(("batch", b, b, base, size) for b in BATCHES),
        *(("width", w, batch, w * base, size) for w in WIDTHS),
        *(("image size", s, batch, base, s) for s in SIZES),
    ]
    rows, known_rates = [], {}
    for across, value, *asked in points:
        if tuple(asked) not in known_rates:
            known_rates[tuple(asked)] = _rates(
                preset, *asked, cores, rounds, steps
            )
        for row in known_rates[tuple(asked)]:
            rows.append({"across": across, "value": value, **row})
            print(
                f"{across} {value}, batch_parts {row['batch_parts']}: "
                f"{row['examples_per_second']:,.0f} examples/s",
                flush=True,
            )
    # Before matplotlib's styles, with which comes the library.
    import_keras_quietly()
    from training import figures

    figures.save(figure(rows, preset), path)
    print(f"drawn: {path}")
    return {"rows": rows}


def _rates(preset, batch, channels, size, cores, rounds, steps):
    words = [
        *(sys.executable, "-m", "training.benchmark_step", preset),
        *("--training.batch-size", batch, "--model.base-channels", channels),
        *("--image-size", size),
    ]
    commands = [
        shlex.join(map(str, [*words, "--batch-parts", parts]))
        for parts in (1, cores)
    ]
    # As much work in a round, whatever a step is.
    own = max(2, steps * 128 * 32 * 32 // (batch * size * size))
    return [
        {
            "batch_parts": parts,
            "examples_per_second": 1000 * batch / result["ms_per_step"],
            **result,
        }
        for parts, result in zip(
            (1, cores), compare(commands, own, rounds), strict=True
        )
    ]


def figure(rows, preset):
    """Draws what `drawn` measured.

    Args:
        rows: as `drawn` returns them.
        preset: for the title.

    Returns:
        A matplotlib `Figure`.
    """
    from training import figures
    from training.drawing import own_style

    return own_style(_figure)(rows, preset, figures.PAGE)


def _figure(rows, preset, width):
    from training.drawing import Figure
    from training.drawing import ticker

    drawing = Figure(figsize=(width, 2.5), layout="constrained")
    kinds = list(dict.fromkeys(row["across"] for row in rows))
    plain = ticker.FuncFormatter(lambda value, _: f"{value:,g}")
    for axes, kind in zip(
        drawing.subplots(1, len(kinds), sharey=True), kinds, strict=True
    ):
        for i, parts in enumerate(sorted({r["batch_parts"] for r in rows})):
            own = [
                (r["value"], r["examples_per_second"])
                for r in rows
                if (r["across"], r["batch_parts"]) == (kind, parts)
            ]
            axes.plot(
                *zip(*own, strict=True),
                marker="o",
                markersize=4,
                color=f"C{i}",
                label="whole batch" if parts == 1 else f"{parts} parts at once",
            )
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(
            sorted({r["value"] for r in rows if r["across"] == kind}),
            minor=False,
        )
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(plain)
        axes.set_xlabel(kind, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    first = drawing.axes[0]
    rates = [r["examples_per_second"] for r in rows]
    ticks = [
        m * 10**e
        for e in range(8)
        for m in (1, 2, 5)
        if min(rates) / 1.5 < m * 10**e < max(rates) * 1.5
    ]
    first.set_yticks(ticks, minor=False)
    first.set_ylabel(f"examples/s, {preset}", fontsize=8)
    first.legend(fontsize=7, frameon=False)
    return drawing
