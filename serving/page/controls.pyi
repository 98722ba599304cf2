"""Controls that Gradio has not: a logarithmic slider, a wall of pictures.

Each is a `gr.HTML` with a template. Gradio changes the elements of a template
in place when its values change, so that a drag goes on undisturbed.
"""

import gradio as gr

from serving.page import betas

_SLIDER = """
<label for="${elem_id}-range"><b>beta</b>, what a nat of rate costs
(logarithmic)</label>
<input type="number" class="exact" aria-label="beta, as a number"
 min="${low}" max="${high}" step="any" value="${value}">
<input type="range" class="drag" id="${elem_id}-range" step="any"
 min="${Math.log(low)}" max="${Math.log(high)}" value="${Math.log(value)}"
 aria-valuetext="${value}" ${low === high ? "disabled" : ""}>
<div class="ticks" aria-hidden="true">
{{#each ticks}}<i class="{{#if this.label}}labelled{{/if}}"
 style="left: {{this.percent}}%"><span>{{this.label}}</span></i>{{/each}}
</div>
<div class="ends" aria-hidden="true"><span>sharp, many nats</span>
<span>blurred, few nats</span></div>
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
<div class="wall">
{{#each value}}<button type="button" data-index="{{@index}}"
 title="Image {{@index}} of the data set"><img src="{{this}}"
 alt="Image {{@index}} of the data set"></button>{{/each}}
</div>
"""

from gradio.events import Dependency

class LogSlider(gr.HTML):
    """A slider that is linear in log(beta); its value is beta itself.

    Its event `input` comes for every move of the handle and every number
    typed.

    Args:
        value: beta.
        low: smallest beta, above 0.
        high: largest beta.
        ticks: of `betas.ticks`.
        **kwargs: of `gradio.HTML`.
    """

    def __init__(self, value=1.0, low=0.5, high=2.0, ticks=(), **kwargs):
        super().__init__(
            value=value,
            low=low,
            high=high,
            ticks=ticks,
            html_template=_SLIDER,
            js_on_load=_SLIDER_JS,
            apply_default_css=False,
            **kwargs,
        )

    def api_info(self):
        return {"type": "number"}
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Wall(gr.HTML):
    """Small pictures as buttons, of which one is marked.

    Its event `select` carries `index`, a text.

    Args:
        value: URIs of the pictures.
        selected: index of the marked one; -1: none.
        **kwargs: of `gradio.HTML`.
    """

    def __init__(self, value=(), selected=-1, **kwargs):
        super().__init__(
            value=value,
            selected=selected,
            html_template=_WALL,
            js_on_load=_WALL_JS,
            apply_default_css=False,
            **kwargs,
        )

    def api_info(self):
        return {"type": "array", "items": {"type": "string"}}
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Strip(gr.HTML):
    """HTML with buttons; its event `select` carries a button's data."""

    def __init__(self, value="", **kwargs):
        super().__init__(value=value, js_on_load=_BUTTONS_JS, **kwargs)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component
class Buttons(gr.HTML):
    """HTML with buttons; its event `select` carries a button's `data-`."""

    def __init__(self, value="", **kwargs):
        super().__init__(
            value=value,
            js_on_load=_BUTTONS_JS,
            apply_default_css=False,
            **kwargs,
        )
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

    