"""What the page shows, as HTML: pictures, numbers, strip, banner."""

import base64
import html
import io

import numpy as np
from PIL import Image

from serving.page import compared
from serving.page import knobs
from serving.page import svg_curve
from serving.page import svg_lines
from yoto_tf.families.view import NUMBER
from yoto_tf.families.view import NUMBERS
from yoto_tf.families.view import PICTURE

# Of an output with more, the first ones.
_SMALL = 128
_MOST_NUMBERS, _MOST_LINES, _MOST_PLOTS = 12, 6, 4


def png_uri(image):
    """An image as a `data:` URI, so that it arrives with the page's answer.

    Args:
        image: `(height, width, channels)`, float in [0, 1] or uint8.
    """
    file = io.BytesIO()
    Image.fromarray(compared.as_bytes(image)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def small(image):
    """The same for a small place: of a large picture, 128 pixels a side."""
    if max(image.shape[:2]) <= 2 * _SMALL:
        return image
    picture = Image.fromarray(compared.as_bytes(image))
    picture.thumbnail((_SMALL, _SMALL))
    return np.asarray(picture)


def heading(facts, address):
    """Which model this is, where it is served and its ranges; `data-without`
    names the parts of the page that it has no use for."""
    ranges = "".join(
        f" &middot; {html.escape(f'{k.name} {k.trained}')}" for k in facts.knobs
    )
    without = [] if facts.is_pictures else ["pictures"]
    without += ["rows"] if facts.is_pictures else []
    without += [] if facts.view.prior else ["prior"]
    without += [] if facts.files else ["zoom"]
    return (
        f'<p data-without="{" ".join(without)}">Model '
        f"<b>{html.escape(facts.name)}</b>, version {facts.version}, at "
        f"{html.escape(address)} &middot; {_sizes(facts)}{ranges}</p>"
    )


def _sizes(facts):
    if facts.is_pictures:
        shape = facts.shapes[0][1]
        if None in shape:
            return "pictures of any size"
        sizes = " &times; ".join(map(str, shape)) + " pixels"
        latents = facts.noise_size
        return sizes + (f", {latents} latents" if latents else "")
    columns = sum(int(np.prod(shape)) for _, shape in facts.shapes)
    return f"{columns} columns"


def banner(sentence, detail=""):
    """A notice above everything, and below it what an expert may need."""
    small = f"<p>{html.escape(detail)}</p>" if detail else ""
    return (
        f'<div class="banner" role="alert"><p>{html.escape(sentence)}</p>'
        f"{small}</div>"
    )


def problem(sentence):
    """What is wrong with an upload; empty text for nothing."""
    if not sentence:
        return ""
    return f'<p class="problem" role="alert">{html.escape(sentence)}</p>'


def at(point):
    """A point in words: `miss = 16, smoothing = 0.1`."""
    return ", ".join(f"{n} = {knobs.text(v)}" for n, v in point.items())


def pair(facts, example, outputs, point):
    """The pictures: what the model sees, and what it makes of it."""
    said, figures = f"at {at(point)}", []
    if facts.files:
        seen = example[facts.view.inputs[0].name]
        figures = [
            f'<figure><div class="frame"><img src="{png_uri(one.pixels)}" '
            f'alt="{html.escape(one.title)}"></div><figcaption><b>'
            f"{html.escape(one.title)}</b> {html.escape(one.said)}"
            "</figcaption></figure>"
            for one in compared.pictures(facts.files, seen, outputs, said)
        ]
        return f'<div class="pair">{"".join(figures)}</div>'
    if facts.is_pictures:
        seen = example[facts.view.inputs[0].name]
        noun = facts.view.noun
        figures.append(
            _figure(seen, "what the model sees", f"The chosen {noun}")
        )
    figures += [
        _figure(outputs[o.name], f"{o.said} {said}", f"Its {o.said} {said}")
        for o in facts.view.outputs
        if o.kind == PICTURE
    ]
    return f'<div class="pair">{"".join(figures)}</div>' if figures else ""


def numbers(facts, outputs, point):
    """The numbers of an answer with units, and their sum where it has one."""
    view, cells = facts.view, []
    for output in view.outputs:
        value = outputs[output.name]
        if output.kind == NUMBER:
            cells.append((output.said, format(value, output.form), output.unit))
        elif output.kind == NUMBERS:
            named = list(labelled(output, value).items())
            cells += [
                (f"{output.said} {label}", format(v, output.form), output.unit)
                for label, v in named[:_MOST_NUMBERS]
            ]
            if len(named) > _MOST_NUMBERS:
                more = f"and {len(named) - _MOST_NUMBERS} more"
                cells.append((output.said, "…", more))
    if facts.total:
        total = sum(
            float(outputs[name]) * (point[knob] if knob else 1)
            for name, knob in facts.total.terms
        )
        said = facts.total.title, format(total, facts.total.form)
        cells.append((*said, facts.total.unit))
    return (
        '<dl class="numbers">'
        + "".join(
            f'<div><dt>{html.escape(name)}</dt><dd class="value">{value}</dd>'
            f"<dd>{html.escape(unit)}</dd></div>"
            for name, value, unit in cells
        )
        + "</dl>"
    )


def labelled(output, values):
    """dict, label -> number, or numbers, of the last axis."""
    values = np.moveaxis(np.asarray(values), -1, 0)
    labels = output.labels or [str(i) for i in range(len(values))]
    return dict(zip(labels, values, strict=True))


def curve(facts, points, outputs, point):
    """The trade-off over the first knob with the point of today, or each of
    the numbers over it."""
    view, first = facts.view, facts.knobs[0]
    known = {o.name: o for o in view.outputs}
    if view.trade_off:
        return svg_curve.draw(
            *(points.outputs[n] for n in view.trade_off),
            [float(outputs[n]) for n in view.trade_off],
            [_axis_title(known[n]) for n in view.trade_off],
            at({first.name: point[first.name]}),
        )
    plots = []
    for output in view.outputs:
        if output.kind == NUMBER:
            lines = {"": points.outputs[output.name]}
            today = {"": float(outputs[output.name])}
        elif output.kind == NUMBERS:
            lines = labelled(output, points.outputs[output.name])
            lines = dict(list(lines.items())[:_MOST_LINES])
            today = labelled(output, outputs[output.name])
            today = {label: float(today[label]) for label in lines}
        else:
            continue
        drawn = (point[first.name], today)
        title = _axis_title(output)
        plots.append(svg_lines.draw(first, points.values, lines, drawn, title))
    return f'<div class="plots">{"".join(plots[:_MOST_PLOTS])}</div>'


def _axis_title(output):
    return f"{output.said}, {output.unit}" if output.unit else output.said


def strip(facts, points):
    """The example over the whole range of the first knob; a click chooses."""
    name, view = facts.knobs[0].name, facts.view
    shown = next((o for o in view.outputs if o.kind == PICTURE), None)
    number = next((o for o in view.outputs if o.kind == NUMBER), None)
    if not shown and not number:
        return ""
    frames = []
    for i in knobs.strip_indices(len(points.values)):
        value = points.values[i]
        said = knobs.text(value)
        if shown:
            frame = small(points.outputs[shown.name][i])
            seen = (
                f'<img src="{png_uri(frame)}" '
                f'alt="{html.escape(f"{shown.said} at {name} = {said}")}">'
            )
        else:
            said_number = format(points.outputs[number.name][i], number.form)
            seen = f"<b>{said_number}</b>"
        frames.append(
            f'<button type="button" data-value="{value:.9g}" '
            f'title="{html.escape(f"Set {name} to {said}")}">'
            f"{seen}<span>{said}</span></button>"
        )
    what = f"The same {view.noun} over the whole range of {name}"
    what += "" if shown else f": {number.said}"
    return (
        f"<h3>{html.escape(what)}</h3>"
        f'<div class="strip">{"".join(frames)}</div>'
    )


def traversals(facts, found, point):
    """A row of pictures per latent, from one end of the prior to the other.

    Args:
        facts: `Facts`.
        found: `Traversals`; None: there is nothing to show.
        point: at which they were made.
    """
    if facts.view.traversal is None:
        return ""
    title = (
        f"<h3>What the code says of this {html.escape(facts.view.noun)}</h3>"
    )
    said = html.escape(at(point))
    if found is None:
        return f'{title}<p data-at="{said}">Nothing, at {said}.</p>'
    heads = "".join(f"<span>{value:+.1f}</span>" for value in found.values)
    heads = heads.replace("+0.0", "0")
    lines = [f"<span>latent at</span>{heads}"]
    for (number, rate), images in zip(found.latents, found.images, strict=True):
        name = f"latent {number}"
        lines.append(
            f"<span><b>{name}</b><br>{rate:.2f} nats</span>"
            + "".join(
                f'<img src="{png_uri(image)}" alt="{name} at {value:+.1f}">'
                for value, image in zip(found.values, images, strict=True)
            )
        )
    return (
        f"{title}<p>Each row moves one latent, from one end of the prior to "
        f"the other; the others stay. At {said}, those with the largest rate."
        f'</p><div class="traversals" data-at="{said}">{"".join(lines)}</div>'
    )


def samples(images, point):
    """Images drawn from the prior, as a grid."""
    frames = "".join(
        f'<img src="{png_uri(image)}" alt="Sample {i + 1}">'
        for i, image in enumerate(images)
    )
    said = html.escape(at(point))
    return f'<div class="samples" data-at="{said}">{frames}</div>'


def _figure(image, caption, alt):
    return (
        f'<figure><img src="{png_uri(image)}" alt="{html.escape(alt)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
