"""What happens on the page: from an event to what is shown next.

Nothing here knows Gradio. Every function returns a dict from the names of
components to their new values, and raises `serving.client.ServingError` where
the server gives no answer.
"""

import dataclasses
import html

import numpy as np

from serving.client import InvalidRequest
from serving.page import examples
from serving.page import knobs
from serving.page import rows
from serving.page import views
from serving.page.model import CannotShow
from serving.page.model import Points
from yoto_tf.data import pictures
from yoto_tf.errors import InputError

SAMPLES = 12
# Of an uploaded picture, where any size will do.
_UPLOADED_PIXELS = 2**18


@dataclasses.dataclass(frozen=True)
class Shown:
    """An example that was chosen, and its curve over the first knob.

    Attributes:
        example: dict, name of an input -> array; pictures as uint8.
        points: `Points`.
        beside: the other knobs, for which the curve is.
        index: among the examples to choose from; -1 for one's own.
    """

    example: dict
    points: Points
    beside: dict
    index: int


class Handlers:
    """The page's behaviour.

    Args:
        model: `Model`.
        source: of examples to choose from, see `serving.page.examples`.
    """

    def __init__(self, model, source):
        self.model = model
        self._source = source
        self._examples = {}

    def examples(self, facts):
        """The examples to choose from, loaded once for all of one shape:
        a list of dicts."""
        if facts.shapes not in self._examples:
            found = self._source(dict(facts.shapes))
            num = min(len(array) for array in found.values())
            self._examples[facts.shapes] = [
                {n: array[i] for n, array in found.items()} for i in range(num)
            ]
        return self._examples[facts.shapes]

    def begin(self, facts, shown=None, points=(None, None), noise=None):
        """Fills the whole page, keeping what still fits the model.

        Args:
            facts: `Facts` of the model that is served now.
            shown: `Shown` before.
            points: of the sliders of each tab, before; None: the defaults.
            noise: that was sampled from.
        """
        first, second = (knobs.kept(facts.knobs, p) for p in points)
        choice = self.examples(facts)
        page = {
            "heading": views.heading(facts, self.model.address),
            "banner": "",
            "knobs": knobs.sliders(facts.knobs, first),
            "sample_knobs": knobs.sliders(facts.knobs, second),
        }
        if shown is not None and _fits(facts, shown.example):
            page |= self.show(shown.example, first, shown.index)
        elif len(choice):
            page |= self.show(choice[0], first, 0)
        elif not facts.is_pictures:
            page |= self.show(rows.first(facts), first, -1)
        else:
            page |= dict.fromkeys(
                ("numbers", "curve", "strip", "traversals"), ""
            )
            page |= {"pair": _empty(facts), "shown": None, "shown_at": None}
            page |= {"wall": self._wall(facts, -1)}
        if not facts.view.prior:
            page |= {"noise": None, "samples": "", "sampled_at": None}
        elif noise is None or noise.shape[1] != facts.noise_size:
            page |= self.new_noise(second, seed=0)
        else:
            page |= self.sample(noise, second)
        return page

    def catch_up(self, shown, boxes, points, noise, drawn):
        """Draws again what does not show the values of its controls.

        For events that were lost on their way: there is no second one.

        Args:
            shown: `Shown` or None.
            boxes: of the row, see `rows`.
            points: of the sliders of each tab.
            noise: that was sampled from, or None.
            drawn: points that example and samples were last drawn for.
        """
        page, facts = {}, self.model.facts()
        if shown is not None and not facts.is_pictures:
            if not rows.holds(facts, boxes, shown.example):
                page |= self.edit(boxes, points[0])
        if not page and points[0] != drawn[0]:
            page |= self.move(shown, points[0])
        if points[1] != drawn[1]:
            page |= self.sample(noise, points[1])
        return page

    def failed(self, error):
        """Says why there is no answer.

        Args:
            error: `ServingError`.
        """
        if isinstance(error, CannotShow):
            sentence = "The page cannot show this model."
        elif isinstance(error, InvalidRequest):
            sentence = "The server cannot do this."
        else:
            sentence = (
                f"The server at {self.model.address} gives no answer. This "
                "page goes on by itself when it does."
            )
        return {"banner": views.banner(sentence, str(error)), "seen": None}

    def pick(self, index, point):
        """Shows an example of the data set."""
        choice = self.examples(self.model.facts())
        if index not in range(len(choice)):
            return {}  # of a page whose examples are others by now
        return {"problem": "", **self.show(choice[index], point, index)}

    def edit(self, boxes, point):
        """Shows the row that somebody typed."""
        typed = rows.example(self.model.facts(), boxes)
        # What was typed stays as it is.
        page = self.show(typed, point, -1)
        return {name: value for name, value in page.items() if name != "row"}

    def upload(self, path, name, point):
        """Shows an uploaded picture, or says in a sentence why not."""
        facts = self.model.facts()
        if not facts.is_pictures:
            raise InvalidRequest("expected a row, received: a picture")
        ((alias, (size, _, channels)),) = facts.shapes
        multiple = facts.view.inputs[0].multiple
        try:
            if size is None:
                most = min(_UPLOADED_PIXELS, facts.view.inputs[0].most_pixels)
                image = pictures.read_within(path, most, multiple)
            else:
                image = pictures.read_square(path, size, channels)
        except InputError as error:
            large = isinstance(error, pictures.TooManyPixels)
            sentence = (
                f"{name} has more than {pictures.MAX_PIXELS:,} pixels; make "
                "it smaller and upload it again."
                if large
                else f"{name} cannot be read as a picture; upload a JPEG, PNG, "
                "WebP, GIF or BMP file."
            )
            return {"problem": views.problem(sentence)}
        return {"problem": "", **self.show({alias: image}, point, -1)}

    def jump(self, shown, value, point):
        """Goes to a value of the strip, and takes the slider along."""
        facts = self.model.facts()
        first = facts.knobs[0]
        value = knobs.clamped(first, value)
        point = knobs.moved(facts.knobs, point, first.name, value)
        sliders = knobs.sliders(facts.knobs, point)
        return {"knobs": sliders, **self.move(shown, point)}

    def turn(self, shown, point, name):
        """Moves a slider; others may have to make room."""
        return self._turned("knobs", self.move, shown, point, name)

    def show(self, example, point, index):
        """Shows an example: its curve, its strip, its point."""
        facts = self.model.facts()
        shown = self._shown(facts, example, point, index)
        page = {
            "shown": shown,
            "wall": self._wall(facts, index),
            "strip": views.strip(facts, shown.points),
            **self.move(shown, point),
        }
        if not facts.is_pictures:
            page["row"] = rows.boxes(facts, example)
        return page

    def move(self, shown, point):
        """Moves along the curve of the example that is shown."""
        if shown is None:
            return {}
        facts, page = self.model.facts(), {}
        if not _fits(facts, shown.example):
            # Of a model that was just replaced: the next look fills the page.
            return {}
        outputs = self.model.answer(shown.example, point)
        # Another knob: another curve. And another model of the same name and
        # number, of which a server says nothing.
        at = point[facts.knobs[0].name]
        if _beside(facts, point) != shown.beside or not shown.points.agree(
            outputs, at
        ):
            shown = self._shown(facts, shown.example, point, shown.index)
            page = {"shown": shown, "strip": views.strip(facts, shown.points)}
        return {
            **page,
            "pair": views.pair(facts, shown.example, outputs, point),
            "numbers": views.numbers(facts, outputs, point),
            "curve": views.curve(facts, shown.points, outputs, point),
            "traversals": views.traversals(
                facts, self.model.traverse(shown.example, point), point
            ),
            "shown_at": point,
        }

    def new_noise(self, point, seed=None):
        """Draws other noise and makes pictures of it."""
        facts = self.model.facts()
        if not facts.noise_size:
            raise InvalidRequest(
                "expected a model with a prior, received: "
                f"{facts.view.signature} alone"
            )
        size = (SAMPLES, facts.noise_size)
        noise = np.random.default_rng(seed).standard_normal(size, "float32")
        return {"noise": noise, **self.sample(noise, point)}

    def sample(self, noise, point):
        """Makes pictures of the same noise at another point."""
        if noise is None:
            return {}
        images = self.model.sample(noise, point)
        return {"samples": views.samples(images, point), "sampled_at": point}

    def turn_sample(self, noise, point, name):
        """Moves a slider of the samples; others may have to make room."""
        return self._turned("sample_knobs", self.sample, noise, point, name)

    def _turned(self, sliders, draw, shown, point, name):
        facts = self.model.facts()
        kept = _beside_turned(facts, point, name)
        page = draw(shown, kept)
        if kept != point:
            page[sliders] = knobs.sliders(facts.knobs, kept)
        return page

    def _shown(self, facts, example, point, index):
        points = self.model.curve(example, point)
        return Shown(example, points, _beside(facts, point), index)

    def _wall(self, facts, selected):
        choice = self.examples(facts)
        wall = {"images": [], "rows": [], "selected": selected}
        article = "an" if facts.view.noun[0] in "aeiou" else "a"
        noun = html.escape(facts.view.noun)
        wall["title"] = f"Pick {article} {noun}" if choice else ""
        if facts.is_pictures:
            ((name, _),) = facts.shapes
            wall["images"] = [
                views.png_uri(views.small(e[name])) for e in choice
            ]
        else:
            wall["rows"] = [rows.label(facts, e) for e in choice]
        return wall


def _beside(facts, point):
    """The knobs that a curve over the first one is for."""
    first = facts.knobs[0]
    if first.scale == "simplex":
        # The others make room for it, in these proportions.
        # All of it leaves nothing for the others, in any proportion.
        rest = 1 - point[first.name] or 1
        return {
            n: round(v / rest, 6) if k.scale == "simplex" else v
            for k in facts.knobs[1:]
            for n, v in [(k.name, point[k.name])]
        }
    return {k.name: point[k.name] for k in facts.knobs[1:]}


def _beside_turned(facts, point, name):
    if name not in point:
        return point
    return knobs.moved(facts.knobs, point, name, point[name])


def _fits(facts, example):
    return set(example) == {n for n, _ in facts.shapes} and all(
        examples.fits(example[n].shape, shape) for n, shape in facts.shapes
    )


def _empty(facts):
    return (
        f'<p class="empty">Upload a picture of your own as the '
        f"{html.escape(facts.view.noun)}.</p>"
    )
