"""The page as Gradio's components and events."""

import functools
from pathlib import Path

import gradio as gr

from serving.client import InvalidRequest
from serving.client import ServingError
from serving.page import controls
from serving.page import guard

_LOOK_SECONDS = 2.0
# What the page remembers: what is shown, of which model, at which points.
_STATES = ("shown", "noise", "seen", "shown_at", "sampled_at")
# Until the model is known, the page has no use for any of its parts.
_NOTHING_YET = '<p data-without="pictures rows prior zoom"></p>'
_CSS = Path(__file__).with_name("page.css")
# No font that would be fetched from elsewhere.
_THEME = gr.themes.Default(
    primary_hue="blue",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
LAUNCH = {
    "theme": _THEME,
    "css_paths": _CSS,
    "share": False,
    "ssr_mode": False,
    "quiet": True,
    "footer_links": [],
    "run_history": False,
    "max_file_size": guard.MAX_PICTURE_BYTES,
    "enable_monitoring": False,
    "mcp_server": False,
    # An image with its curve is megabytes; a tab that lost it asks again.
    "state_session_capacity": 100,
}
"""For `Blocks.launch`: this machine alone, and nothing from elsewhere."""
_MOST_WAITING_EVENTS = 100


def build(handlers):
    """Lays out the page and ties its events to `Handlers`.

    Returns:
        `gradio.Blocks`.
    """
    with gr.Blocks(
        title="One model, every loss",
        analytics_enabled=False,
        fill_width=True,
        # Uploads are forgotten after an hour.
        delete_cache=(3600, 3600),
    ) as page:
        parts = _layout()
        _Events(handlers, parts).tie(page)
    return page.queue(api_open=False, max_size=_MOST_WAITING_EVENTS)


def _layout():
    parts = {name: gr.State(None) for name in _STATES}
    controls.text("<h1>One model, every loss</h1>", elem_id="title")
    parts["heading"] = controls.text(_NOTHING_YET, elem_id="heading")
    parts["banner"] = controls.text(elem_id="banner")
    with gr.Tabs():
        with gr.Tab("Ask the model", elem_id="ask"):
            _ask_tab(parts)
        with gr.Tab("Sample from the prior", elem_id="prior"):
            _sample_tab(parts)
    return parts


def _ask_tab(parts):
    with gr.Row():
        with gr.Column(scale=3, min_width=280):
            parts["wall"] = controls.wall(elem_id="wall")
            parts["row"] = controls.row(elem_id="row")
            controls.text("<h3>Upload a picture</h3>", elem_id="upload-title")
            parts["file"] = gr.File(
                show_label=False,
                file_count="single",
                type="filepath",
                height=110,
                elem_id="upload",
            )
            parts["problem"] = controls.text(elem_id="problem")
        with gr.Column(scale=8, min_width=300):
            parts["knobs"] = controls.sliders(elem_id="knobs")
            controls.zoom(elem_id="zoom")
            with gr.Row(elem_id="answer"):
                with gr.Column(scale=6, min_width=300):
                    parts["pair"] = controls.text(elem_id="pair")
                    parts["numbers"] = controls.text(elem_id="numbers")
                with gr.Column(scale=5, min_width=300):
                    parts["curve"] = controls.text(elem_id="curve")
            parts["strip"] = controls.buttons(elem_id="strip")
            parts["traversals"] = controls.text(elem_id="traversals")


def _sample_tab(parts):
    parts["sample_knobs"] = controls.sliders(elem_id="sample-knobs")
    with gr.Row():
        with gr.Column(scale=5, min_width=280):
            controls.text(
                "<p>Noise drawn from the prior N(0, I), decoded at the values "
                "of the sliders. It stays the same while they move.</p>",
                elem_id="sample-text",
            )
        with gr.Column(scale=1, min_width=140):
            parts["new_noise"] = gr.Button(
                "New noise", size="sm", elem_id="new-noise"
            )
    parts["samples"] = controls.text(elem_id="samples")


# What an event changes, besides the banner.
_MOVED = (
    *("knobs", "pair", "numbers", "curve", "strip", "traversals"),
    *("shown", "shown_at"),
)
_CHOSEN = ("wall", "row", "problem", *_MOVED)
_SAMPLED = ("sample_knobs", "noise", "samples", "sampled_at")
_FILLED = ("heading", *_CHOSEN, *_SAMPLED)


class _Events:
    """Ties events to handlers; a server that is gone becomes a banner."""

    def __init__(self, handlers, parts):
        self._handlers = handlers
        self._parts = parts

    def tie(self, page):
        parts, handlers = self._parts, self._handlers
        state = ("knobs", "sample_knobs", "row", *_STATES)
        # Not before the page is filled: a second filling could undo what
        # somebody did in between.
        timer = gr.Timer(_LOOK_SECONDS, active=False)
        self._on(page.load, self._look, state, _FILLED).then(
            lambda: gr.update(active=True),
            outputs=timer,
            show_progress="hidden",
            api_visibility="private",
        )
        self._on(timer.tick, self._look, state, _FILLED, mode="once")
        self._on(parts["wall"].select, self._pick, ["knobs"], _CHOSEN)
        self._on(parts["row"].input, self._edit, ["row", "knobs"], _CHOSEN)
        self._on(
            parts["file"].upload,
            self._upload,
            ["file", "knobs"],
            ["file", *_CHOSEN],
        )
        self._on(parts["knobs"].input, self._turn, ["shown", "knobs"], _MOVED)
        self._on(parts["strip"].select, self._jump, ["shown", "knobs"], _MOVED)
        self._on(
            parts["sample_knobs"].input,
            self._turn_sample,
            ["noise", "sample_knobs"],
            _SAMPLED,
        )
        self._on(
            parts["new_noise"].click,
            lambda sliders: handlers.new_noise(self._point(sliders)),
            ["sample_knobs"],
            _SAMPLED,
        )

    def _on(self, listen, handler, inputs, outputs, mode="always_last"):
        """While an answer is under way, only the latest event waits."""

        @functools.wraps(handler)
        def answer(*args):
            try:
                values = handler(*args)
            except ServingError as error:
                values = self._handlers.failed(error)
            made = {self._parts[n]: value for n, value in values.items()}
            return made or gr.skip()

        return listen(
            answer,
            [self._parts[name] for name in inputs],
            [self._parts[name] for name in (*outputs, "banner", "seen")],
            show_progress="hidden",
            trigger_mode=mode,
            # One after the other, in the order of the events: an image and a
            # move of the slider right after it must not overtake each other.
            concurrency_id="page",
            concurrency_limit=1,
            api_visibility="private",
        )

    def _look(self, sliders, sample_sliders, row, shown, noise, seen, *drawn):
        facts = self._handlers.model.facts(fresh=True)
        given = {"knobs": sliders, "sample_knobs": sample_sliders}
        points = [_point_or_none(one) for one in given.values()]
        if facts == seen and None not in points:
            return self._handlers.catch_up(shown, row, points, noise, drawn)
        filled = self._handlers.begin(facts, shown, points, noise)
        for name, before in given.items():
            # A slider that was moved while the server was asked stays where
            # it is: the event of that move comes next.
            if _ranges(filled[name]) == _ranges(before):
                del filled[name]
        return {**filled, "seen": facts}

    def _pick(self, sliders, event: gr.EventData):
        return self._handlers.pick(_sent(event, "index"), self._point(sliders))

    def _edit(self, row, sliders):
        return self._handlers.edit(row, self._point(sliders))

    def _upload(self, path, sliders):
        if not isinstance(path, str):
            raise InvalidRequest(f"expected a picture, received: {path!r}")
        name = Path(path).name
        # Emptied, so that the next picture can be dropped there too.
        found = self._handlers.upload(path, name, self._point(sliders))
        return {"file": None, **found}

    def _turn(self, shown, sliders):
        return self._handlers.turn(shown, self._point(sliders), _moved(sliders))

    def _turn_sample(self, noise, sliders):
        turned = self._point(sliders), _moved(sliders)
        return self._handlers.turn_sample(noise, *turned)

    def _jump(self, shown, sliders, event: gr.EventData):
        try:
            value = float(_sent(event, "value"))
        except (TypeError, ValueError):
            raise InvalidRequest(
                "expected a value of the strip, received: none"
            ) from None
        return self._handlers.jump(shown, value, self._point(sliders))

    def _point(self, sliders):
        """The point that sliders stand at.

        Raises:
            InvalidRequest: for an event that carries none, or that of another
                model: until the page looks again it has the sliders of the
                version before.
        """
        found = _point_or_none(sliders)
        names = [k.name for k in self._handlers.model.facts().knobs]
        if found is None or not found.keys() >= set(names):
            raise InvalidRequest(
                f"expected an event with the values of the sliders {names}, "
                f"received: {str(sliders)[:80]}"
            )
        return found


def _sent(event, name):
    """What an event carries; None where it carries no such thing."""
    try:
        return getattr(event, name)
    except (AttributeError, TypeError):
        return None


def _point_or_none(sliders):
    try:
        return {k["name"]: float(k["value"]) for k in sliders["knobs"]} or None
    except (TypeError, KeyError, ValueError):
        return None


def _moved(sliders):
    """Name of the slider that was turned last."""
    try:
        return sliders["knobs"][sliders["moved"]]["name"]
    except (TypeError, LookupError):
        return None


def _ranges(sliders):
    try:
        return [(k["name"], k["low"], k["high"]) for k in sliders["knobs"]]
    except (TypeError, KeyError):
        return None
