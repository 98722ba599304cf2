"""The page as Gradio's components and events."""

import functools
from pathlib import Path

import gradio as gr

from serving.client import ServingError
from serving.page import controls
from serving.page import guard

_LOOK_SECONDS = 2.0
# What the page remembers: what is shown, of which model, at which betas.
_STATES = ("shown", "noise", "seen", "shown_beta", "sampled_beta")
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
        title="One model, every beta",
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
    controls.text("<h1>One model, every beta</h1>", elem_id="title")
    parts["heading"] = controls.text(elem_id="heading")
    parts["banner"] = controls.text(elem_id="banner")
    with gr.Tabs():
        with gr.Tab("Reconstruct"):
            _reconstruct_tab(parts)
        with gr.Tab("Sample from the prior"):
            _sample_tab(parts)
    return parts


def _reconstruct_tab(parts):
    with gr.Row():
        with gr.Column(scale=3, min_width=280):
            parts["wall"] = controls.wall(elem_id="wall")
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
            parts["beta"] = controls.log_slider(elem_id="beta")
            with gr.Row():
                with gr.Column(scale=6, min_width=300):
                    parts["pair"] = controls.text(elem_id="pair")
                    parts["numbers"] = controls.text(elem_id="numbers")
                with gr.Column(scale=5, min_width=300):
                    parts["curve"] = controls.text(elem_id="curve")
            parts["strip"] = controls.buttons(elem_id="strip")


def _sample_tab(parts):
    parts["sample_beta"] = controls.log_slider(elem_id="sample-beta")
    with gr.Row():
        with gr.Column(scale=5, min_width=280):
            controls.text(
                "<p>Latents drawn from the prior N(0, I), decoded at the beta "
                "of the slider. The noise stays the same while beta moves.</p>",
                elem_id="sample-text",
            )
        with gr.Column(scale=1, min_width=140):
            parts["new_noise"] = gr.Button(
                "New noise", size="sm", elem_id="new-noise"
            )
    parts["samples"] = controls.text(elem_id="samples")


# What an event changes, besides the banner.
_MOVED = ("pair", "numbers", "curve", "shown_beta")
_CHOSEN = ("shown", "wall", "strip", "problem", *_MOVED)
_SAMPLED = ("noise", "samples", "sampled_beta")
_FILLED = ("heading", "beta", "sample_beta", *_CHOSEN, *_SAMPLED)


class _Events:
    """Ties events to handlers; a server that is gone becomes a banner."""

    def __init__(self, handlers, parts):
        self._handlers = handlers
        self._parts = parts

    def tie(self, page):
        parts, handlers = self._parts, self._handlers
        state = ("beta", "sample_beta", *_STATES)
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
        self._on(parts["wall"].select, self._pick, ["beta"], _CHOSEN)
        self._on(
            parts["file"].upload,
            self._upload,
            ["file", "beta"],
            ["file", *_CHOSEN],
        )
        self._on(parts["beta"].input, handlers.move, ["shown", "beta"], _MOVED)
        self._on(
            parts["strip"].select, self._jump, ["shown"], ["beta", *_MOVED]
        )
        self._on(
            parts["sample_beta"].input,
            handlers.sample,
            ["noise", "sample_beta"],
            _SAMPLED,
        )
        self._on(
            parts["new_noise"].click,
            handlers.new_noise,
            ["sample_beta"],
            _SAMPLED,
        )

    def _on(self, listen, handler, inputs, outputs, mode="always_last"):
        """While an answer is under way, only the latest event waits."""

        @functools.wraps(handler)
        def answer(*args):
            if handler != self._look:
                # Of a slider, its beta.
                args = [a["beta"] if isinstance(a, dict) else a for a in args]
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

    def _look(self, beta, sample_beta, shown, noise, seen, *drawn_betas):
        facts = self._handlers.model.facts()
        sliders = {"beta": beta, "sample_beta": sample_beta}
        kept = None if noise is None else [s["beta"] for s in sliders.values()]
        if facts == seen:
            return self._handlers.catch_up(shown, kept, noise, drawn_betas)
        filled = self._handlers.begin(facts, shown, kept, noise)
        for name, slider in sliders.items():
            # A slider that was moved while the server was asked stays where
            # it is: the event of that move comes next.
            if all(filled[name][end] == slider[end] for end in ("low", "high")):
                del filled[name]
        return {**filled, "seen": facts}

    def _pick(self, beta, event: gr.EventData):
        return self._handlers.pick(event.index, beta)

    def _upload(self, path, beta):
        name = Path(path).name
        # Emptied, so that the next picture can be dropped there too.
        return {"file": None, **self._handlers.upload(path, name, beta)}

    def _jump(self, shown, event: gr.EventData):
        return self._handlers.jump(shown, float(event.beta))
