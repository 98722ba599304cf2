"""What the page shows, as HTML: pictures, numbers, strip, banner."""

import base64
import html
import io

import numpy as np
from PIL import Image

from serving.page import betas
from serving.page import svg_curve


def png_uri(image):
    """An image as a `data:` URI, so that it arrives with the page's answer.

    Args:
        image: `(height, width, channels)`, float in [0, 1] or uint8.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def heading(facts, address):
    """Which model this is, where it is served and its range."""
    height, width, channels = facts.image_shape
    return (
        f"<p>Model <b>{html.escape(facts.name)}</b>, version {facts.version}, "
        f"at {html.escape(address)} &middot; {height} &times; {width} &times; "
        f"{channels} pixels, {facts.latent_size} latents &middot; beta from "
        f"{betas.text(facts.beta_low)} to {betas.text(facts.beta_high)}</p>"
    )


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


def pair(image, reconstruction, beta):
    """The image as the model sees it beside its reconstruction."""
    at = f"at beta = {betas.text(beta)}"
    seen = _figure(image, "what the model sees", "The chosen image")
    made = _figure(
        reconstruction, f"reconstruction {at}", f"Its reconstruction {at}"
    )
    return f'<div class="pair">{seen}{made}</div>'


def numbers(beta, rate, distortion):
    """Rate, distortion and what training minimises, with units."""
    cells = [
        ("rate", f"{rate:,.2f}"),
        ("distortion", f"{distortion:,.1f}"),
        ("full loss", f"{distortion + beta * rate:,.1f}"),
    ]
    return (
        '<dl class="numbers">'
        + "".join(
            f'<div><dt>{name}</dt><dd class="value">{value}</dd>'
            "<dd>nats per image</dd></div>"
            for name, value in cells
        )
        + "</dl>"
    )


def curve(points, beta, rate, distortion):
    """The rate-distortion curve of the image with its point for beta."""
    return svg_curve.draw(
        points.rate,
        points.distortion,
        rate,
        distortion,
        f"beta = {betas.text(beta)}",
    )


def strip(points):
    """The image over the whole range of beta; a click chooses a beta."""
    chosen = betas.strip_indices(len(points.betas))
    frames = "".join(
        f'<button type="button" data-beta="{points.betas[i]:.9g}" '
        f'title="Set beta to {betas.text(points.betas[i])}">'
        f'<img src="{png_uri(points.reconstruction[i])}" '
        f'alt="Reconstruction at beta = {betas.text(points.betas[i])}">'
        f"<span>{betas.text(points.betas[i])}</span></button>"
        for i in chosen
    )
    return (
        "<h3>The same image over the whole range of beta</h3>"
        f'<div class="strip">{frames}</div>'
    )


def samples(images, beta):
    """Images drawn from the prior, as a grid."""
    frames = "".join(
        f'<img src="{png_uri(image)}" alt="Sample {i + 1}">'
        for i, image in enumerate(images)
    )
    return f'<div class="samples" data-beta="{beta:.9g}">{frames}</div>'


def _figure(image, caption, alt):
    return (
        f'<figure><img src="{png_uri(image)}" alt="{html.escape(alt)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
