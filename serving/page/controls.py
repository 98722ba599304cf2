"""Controls that Gradio has not: a logarithmic slider, a wall of pictures.

Each is a `gr.HTML` with a template. Gradio changes the elements of a template
in place when its value changes, so that a drag goes on undisturbed. All that
changes is in the value, because updates of other properties are lost in a tab
that was not opened yet. They are no subclasses: for each of those Gradio
writes a file beside the source.
"""

import gradio as gr

_SLIDER = """
<div class="slider">
<label><span><b>beta</b>, what a nat of rate costs</span>
<input type="number" class="exact" aria-label="beta, as a number"
 min="${value.low}" max="${value.high}" step="any" value="${value.beta}">
</label>
<input type="range" class="drag" aria-label="beta, on a logarithmic scale"
 step="any" min="${Math.log(value.low)}" max="${Math.log(value.high)}"
 value="${Math.log(value.beta)}" aria-valuetext="beta = ${value.beta}"
 ${value.low === value.high ? "disabled" : ""}>
<div class="ticks" aria-hidden="true">
{{#each value.ticks}}<i class="{{#if this.label}}labelled{{/if}}"
 style="left: {{this.percent}}%"><span>{{this.label}}</span></i>{{/each}}
</div>
<div class="ends" aria-hidden="true"><span>sharper, more nats</span>
<span>blurrier, fewer nats</span></div>
</div>
"""

# "input" while it is dragged; a number is typed to its end first.
_SLIDER_JS = """
function take(beta) {
  const {low, high} = props.value;
  if (low === high) return;  // The range is not known yet, or has one value.
  const rounded = Number(beta.toPrecision(3));
  const kept = Math.min(Math.max(rounded, low), high);
  props.value = {...props.value, beta: kept};
  trigger('input');
}
element.addEventListener('input', (event) => {
  if (event.target.type === 'range') {
    take(Math.exp(event.target.valueAsNumber));
  }
});
element.addEventListener('change', (event) => {
  const beta = event.target.valueAsNumber;
  if (event.target.type === 'number') {
    if (beta > 0) take(beta);
    event.target.value = props.value.beta;
  }
});
"""

_BUTTONS_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('select', {...button.dataset});
});
"""

_WALL = """
${value.images.length ? "<h3>Pick an image</h3>" : ""}
<div class="wall">${value.images.map((uri, i) => `<button type="button"
 data-index="${i}" aria-pressed="${i === value.selected}"><img src="${uri}"
 alt="Image ${i + 1} of the data set"></button>`).join("")}</div>
"""

_WALL_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const selected = Number(button.dataset.index);
  props.value = {...props.value, selected};
  trigger('select', {index: selected});
});
"""


def log_slider(**kwargs):
    """A slider that is linear in log(beta).

    Its value is a dict: `beta`, `low` and `high`, the range, and `ticks`, of
    `betas.ticks`. Its event `input` comes for every move of the handle and
    every number typed.
    """
    return gr.HTML(
        # Disabled until the range is known.
        value={"beta": 1.0, "low": 1.0, "high": 1.0, "ticks": []},
        html_template=_SLIDER,
        js_on_load=_SLIDER_JS,
        apply_default_css=False,
        **kwargs,
    )


def wall(**kwargs):
    """Small pictures as buttons, of which one is marked.

    Its value is a dict: `images`, their URIs, and `selected`, the index of
    the marked one, -1 for none. Its event `select` carries `index`.
    """
    return gr.HTML(
        value={"images": [], "selected": -1},
        html_template=_WALL,
        js_on_load=_WALL_JS,
        apply_default_css=False,
        **kwargs,
    )


def buttons(**kwargs):
    """HTML with buttons; its event `select` carries a button's `data-`."""
    return gr.HTML(js_on_load=_BUTTONS_JS, apply_default_css=False, **kwargs)


def text(value="", **kwargs):
    """HTML as it is."""
    return gr.HTML(value, apply_default_css=False, **kwargs)
