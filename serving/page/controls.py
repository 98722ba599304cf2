"""Controls that Gradio has not: a logarithmic slider, a wall of pictures.

Each is a `gr.HTML` with a template. Gradio changes the elements of a template
in place when its values change, so that a drag goes on undisturbed. They are
no subclasses: for each of those Gradio writes a file beside the source.
"""

import gradio as gr

_SLIDER = """
<div class="slider">
<label><span><b>beta</b>, what a nat of rate costs</span>
<input type="number" class="exact" aria-label="beta, as a number"
 min="${low}" max="${high}" step="any" value="${value}"></label>
<input type="range" class="drag" aria-label="beta, on a logarithmic scale"
 step="any" min="${Math.log(low)}" max="${Math.log(high)}"
 value="${Math.log(value)}" aria-valuetext="beta = ${value}"
 ${low === high ? "disabled" : ""}>
<div class="ticks" aria-hidden="true">
{{#each ticks}}<i class="{{#if this.label}}labelled{{/if}}"
 style="left: {{this.percent}}%"><span>{{this.label}}</span></i>{{/each}}
</div>
<div class="ends" aria-hidden="true"><span>sharper, more nats</span>
<span>blurrier, fewer nats</span></div>
</div>
"""

# "input" while it is dragged; a number is typed to its end first.
_SLIDER_JS = """
function take(beta) {
  const rounded = Number(beta.toPrecision(3));
  props.value = Math.min(Math.max(rounded, props.low), props.high);
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
    event.target.value = props.value;
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
${value.length ? "<h3>Pick an image</h3>" : ""}
<div class="wall">${value.map((uri, i) => `<button type="button"
 data-index="${i}" aria-pressed="${i === selected}"><img src="${uri}"
 alt="Image ${i + 1} of the data set"></button>`).join("")}</div>
"""

_WALL_JS = (
    _BUTTONS_JS
    + """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) props.selected = Number(button.dataset.index);
});
"""
)


def log_slider(**kwargs):
    """A slider that is linear in log(beta); its value is beta itself.

    Its event `input` comes for every move of the handle and every number
    typed. Properties: `low` and `high`, the range, and `ticks`, of
    `betas.ticks`.
    """
    return gr.HTML(
        value=1.0,
        low=0.5,
        high=2.0,
        ticks=[],
        html_template=_SLIDER,
        js_on_load=_SLIDER_JS,
        apply_default_css=False,
        **kwargs,
    )


def wall(**kwargs):
    """Small pictures as buttons, of which one is marked.

    The value is a list of URIs. Its event `select` carries `index`, a text.
    Property: `selected`, the index of the marked one, -1 for none.
    """
    return gr.HTML(
        value=[],
        selected=-1,
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
