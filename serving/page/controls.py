"""Controls that Gradio has not: sliders on scales, a wall of pictures, a row.

Each is a `gr.HTML` with a template. Gradio changes the elements of a template
in place when its value changes, so that a drag goes on undisturbed. All that
changes is in the value, because updates of other properties are lost in a tab
that was not opened yet. They are no subclasses: for each of those Gradio
writes a file beside the source.
"""

import gradio as gr

_SLIDERS = """
<div class="sliders">${value.knobs.map((k, i) => `
<div class="slider" data-name="${k.label}">
<label><span><b>${k.label}</b> ${k.caption}</span>
<input type="number" class="exact" data-index="${i}"
 aria-label="${k.label}, as a number"
 min="${k.low}" max="${k.high}" step="any" value="${k.value}">
</label>
<input type="range" class="drag" data-index="${i}"
 aria-label="${k.label}, on a ${k.scale} scale"
 step="${k.choices ? 1 : 'any'}"
 min="${k.choices ? 0 : k.scale === 'log' ? Math.log(k.low) : k.low}"
 max="${k.choices ? k.choices.length - 1
        : k.scale === 'log' ? Math.log(k.high) : k.high}"
 value="${k.choices ? k.choices.indexOf(k.value)
          : k.scale === 'log' ? Math.log(k.value) : k.value}"
 aria-valuetext="${k.label} = ${k.value}"
 ${k.low === k.high ? "disabled" : ""}>
<div class="ticks" aria-hidden="true">${k.ticks.map(t => `<i
 class="${t.label ? 'labelled' : ''}" style="left: ${t.percent}%"><span>${
 t.label}</span></i>`).join("")}</div>
</div>`).join("")}</div>
"""

# "input" while it is dragged; a number is typed to its end first.
_SLIDERS_JS = """
function take(moved, value) {
  const knob = props.value.knobs[moved];
  const {low, high, choices} = knob;
  if (low === high) return;  // It has one value.
  const rounded = choices
    ? choices.reduce((a, b) =>
        Math.abs(b - value) < Math.abs(a - value) ? b : a)
    : Math.min(Math.max(Number(value.toPrecision(3)), low), high);
  const knobs = [...props.value.knobs];
  knobs[moved] = {...knob, value: rounded};
  props.value = {knobs, moved};
  trigger('input');
}
element.addEventListener('input', (event) => {
  if (event.target.type === 'range') {
    const index = Number(event.target.dataset.index);
    const {choices, scale} = props.value.knobs[index];
    const at = event.target.valueAsNumber;
    take(index, choices ? choices[at] : scale === 'log' ? Math.exp(at) : at);
  }
});
element.addEventListener('change', (event) => {
  if (event.target.type === 'number') {
    const index = Number(event.target.dataset.index);
    const knob = props.value.knobs[index];
    const value = event.target.valueAsNumber;
    const usable = Number.isFinite(value);
    if (usable && (value > 0 || knob.scale !== 'log')) take(index, value);
    event.target.value = props.value.knobs[index].value;
  }
});
"""

_ROW = """
<div class="boxes">${value.columns.map((c, i) => `<label
 title="${c.title}"><span>${c.title}</span>${c.texts.length ? `
<select data-index="${i}">${c.texts.map((text, j) => `<option value="${j}"
 ${j === c.value ? "selected" : ""}>${text}</option>`).join("")}</select>` : `
<input type="number" step="any" data-index="${i}" value="${c.value}">`}
<small>${c.hint}</small></label>`).join("")}</div>
"""

_ROW_JS = """
element.addEventListener('change', (event) => {
  const index = Number(event.target.dataset.index);
  const given = event.target.value;
  const typed = given === '' ? NaN : Number(given);
  if (!Number.isFinite(typed)) {
    event.target.value = props.value.columns[index].value;
    return;
  }
  const columns = [...props.value.columns];
  columns[index] = {...columns[index], value: typed};
  props.value = {columns};
  trigger('input');
});
"""

_BUTTONS_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('select', {...button.dataset});
});
"""

_WALL = """
${value.title ? `<h3>${value.title}</h3>` : ""}
<div class="wall">${value.images.map((uri, i) => `<button type="button"
 data-index="${i}" aria-pressed="${i === value.selected}"><img src="${uri}"
 alt="Image ${i + 1} of the data set"></button>`).join("")}</div>
<div class="picker">${value.rows.map((text, i) => `<button type="button"
 data-index="${i}" aria-pressed="${i === value.selected}">${text}</button>`
).join("")}</div>
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


_ZOOM = (
    '<fieldset class="zoom"><legend>Zoom</legend>'
    + "".join(
        f'<label><input type="radio" name="zoom" value="{factor}"'
        f"{' checked' if factor == 1 else ''}> {factor}×</label>"
        for factor in (1, 2, 4, 8)
    )
    + "<span>Move over a picture: all show the same place.</span></fieldset>"
)

# On the page's root: what is inside of an answer is replaced.
_ZOOM_JS = """
const root = document.documentElement;
element.addEventListener('change', (event) => {
  root.style.setProperty('--zoom', event.target.value);
});
document.addEventListener('pointermove', (event) => {
  const frame = event.target.closest && event.target.closest('.frame');
  if (!frame) return;
  const box = frame.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width;
  const y = (event.clientY - box.top) / box.height;
  root.style.setProperty('--zoom-x', `${100 * x}%`);
  root.style.setProperty('--zoom-y', `${100 * y}%`);
});
"""


def sliders(**kwargs):
    """Sliders, one under the other, each on a scale of its own.

    Its value is that of `knobs.sliders`. Its event `input` comes for every
    move of a handle and every number typed; `moved` then says of which.
    """
    return gr.HTML(
        # None until they are known.
        value={"knobs": [], "moved": -1},
        html_template=_SLIDERS,
        js_on_load=_SLIDERS_JS,
        apply_default_css=False,
        **kwargs,
    )


def row(**kwargs):
    """Boxes for the numbers and texts of a row; its event `input` comes for
    each that was filled in. Its value is that of `rows.boxes`."""
    return gr.HTML(
        value={"columns": []},
        html_template=_ROW,
        js_on_load=_ROW_JS,
        apply_default_css=False,
        **kwargs,
    )


def wall(**kwargs):
    """Small pictures, or rows, as buttons, of which one is marked.

    Its value is a dict: `title`, `images`, their URIs, or `rows`, texts, and
    `selected`, the index of the marked one, -1 for none. Its event `select`
    carries `index`.
    """
    return gr.HTML(
        value={"title": "", "images": [], "rows": [], "selected": -1},
        html_template=_WALL,
        js_on_load=_WALL_JS,
        apply_default_css=False,
        **kwargs,
    )


def zoom(**kwargs):
    """How large the pictures of `#pair` are; all show the place under the
    pointer."""
    return gr.HTML(
        _ZOOM, js_on_load=_ZOOM_JS, apply_default_css=False, **kwargs
    )


def buttons(**kwargs):
    """HTML with buttons; its event `select` carries a button's `data-`."""
    return gr.HTML(js_on_load=_BUTTONS_JS, apply_default_css=False, **kwargs)


def text(value="", **kwargs):
    """HTML as it is."""
    return gr.HTML(value, apply_default_css=False, **kwargs)
