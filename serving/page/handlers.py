"""What happens on the page: from an event to what is shown next.

Nothing here knows Gradio. Every function returns a dict from the names of
components to their new values, and raises `serving.client.ServingError` where
the server gives no answer.
"""

import dataclasses

import numpy as np

from serving.client import InvalidRequest
from serving.page import betas
from serving.page import views
from serving.page.model import CurvePoints
from yoto_tf.data import pictures
from yoto_tf.errors import InputError

SAMPLES = 12
_EMPTY = '<p class="empty">Pick an image, or upload a picture of your own.</p>'


@dataclasses.dataclass(frozen=True)
class Shown:
    """An image that was chosen, and its curve.

    Attributes:
        image: `(height, width, channels)` uint8, as the model gets it.
        points: `CurvePoints`.
        index: among the images to choose from; -1 for an upload.
    """

    image: np.ndarray
    points: CurvePoints
    index: int


class Handlers:
    """The page's behaviour.

    Args:
        model: `Model`.
        source: of images to choose from, see `serving.page.examples`.
    """

    def __init__(self, model, source):
        self.model = model
        self._source = source
        self._examples = {}

    def examples(self, image_shape):
        """The images to choose from, loaded once for each image shape."""
        if image_shape not in self._examples:
            self._examples[image_shape] = self._source(image_shape)
        return self._examples[image_shape]

    def begin(self, facts, shown=None, beta=None, noise=None):
        """Fills the whole page, keeping what still fits the model.

        Args:
            facts: `Facts` of the model that is served now.
            shown: `Shown` before.
            beta: of the sliders, of each tab.
            noise: that was sampled from.
        """
        low, high = facts.beta_low, facts.beta_high
        kept = beta or (betas.middle(low, high),) * 2
        first, second = (betas.clamped(b, low, high) for b in kept)
        choice = self.examples(facts.image_shape)
        page = {
            "heading": views.heading(facts, self.model.address),
            "banner": "",
            "beta": _slider(facts, first),
            "sample_beta": _slider(facts, second),
        }
        if shown is not None and shown.image.shape == facts.image_shape:
            page |= self.show(shown.image, first, shown.index)
        elif len(choice):
            page |= self.show(choice[0], first, 0)
        else:
            page |= dict.fromkeys(("numbers", "curve", "strip"), "")
            page |= {"pair": _EMPTY, "shown": None, "shown_beta": None}
            page |= {"wall": self._wall(facts.image_shape, -1)}
        if noise is None or noise.shape[1] != facts.latent_size:
            page |= self.new_noise(second, seed=0)
        else:
            page |= self.sample(noise, second)
        return page

    def catch_up(self, shown, wanted, noise, drawn):
        """Draws again what does not show the beta of its slider.

        For events that were lost on their way: there is no second one.

        Args:
            shown: `Shown` or None.
            wanted: betas of the two sliders.
            noise: that was sampled from, or None.
            drawn: betas that image and samples were last drawn for.
        """
        page = {}
        if wanted[0] != drawn[0]:
            page |= self.move(shown, wanted[0])
        if wanted[1] != drawn[1]:
            page |= self.sample(noise, wanted[1])
        return page

    def failed(self, error):
        """Says why the server gave no answer to one of the others.

        Args:
            error: `ServingError`.
        """
        if isinstance(error, InvalidRequest):
            sentence = "The server cannot do this."
        else:
            sentence = (
                f"The server at {self.model.address} gives no answer. This "
                "page goes on by itself when it does."
            )
        return {"banner": views.banner(sentence, str(error)), "seen": None}

    def pick(self, index, beta):
        """Shows an image of the data set."""
        choice = self.examples(self.model.facts().image_shape)
        if not 0 <= index < len(choice):
            return {}  # of a page whose images are others by now
        return {"problem": "", **self.show(choice[index], beta, index)}

    def upload(self, path, name, beta):
        """Shows an uploaded picture, or says in a sentence why not."""
        size, _, channels = self.model.facts().image_shape
        try:
            image = pictures.read_square(path, size, channels)
        except InputError as error:
            large = "pixels" in str(error)
            sentence = (
                f"{name} has more than {pictures.MAX_PIXELS:,} pixels; make "
                "it smaller and upload it again."
                if large
                else f"{name} cannot be read as a picture; upload a JPEG, PNG, "
                "WebP, GIF or BMP file."
            )
            return {"problem": views.problem(sentence)}
        return {"problem": "", **self.show(image, beta, -1)}

    def jump(self, shown, beta):
        """Goes to a beta of the strip, and takes the slider along."""
        facts = self.model.facts()
        beta = betas.clamped(beta, facts.beta_low, facts.beta_high)
        return {"beta": _slider(facts, beta), **self.move(shown, beta)}

    def show(self, image, beta, index):
        """Shows an image: its curve, its strip, its point for `beta`."""
        shown = Shown(image, self.model.curve(image), index)
        return {
            "shown": shown,
            "wall": self._wall(image.shape, index),
            "strip": views.strip(shown.points),
            **self.move(shown, beta),
        }

    def move(self, shown, beta):
        """Moves along the curve of the image that is shown."""
        if shown is None:
            return {}
        reconstruction, rate, distortion = self.model.reconstruct(
            shown.image, beta
        )
        return {
            "pair": views.pair(shown.image, reconstruction, beta),
            "numbers": views.numbers(beta, rate, distortion),
            "curve": views.curve(shown.points, beta, rate, distortion),
            "shown_beta": beta,
        }

    def new_noise(self, beta, seed=None):
        """Draws other latents from the prior and decodes them."""
        size = (SAMPLES, self.model.facts().latent_size)
        noise = np.random.default_rng(seed).standard_normal(size, "float32")
        return {"noise": noise, **self.sample(noise, beta)}

    def sample(self, noise, beta):
        """Decodes the same latents at another beta."""
        if noise is None:
            return {}
        images = self.model.sample(noise, beta)
        return {"samples": views.samples(images, beta), "sampled_beta": beta}

    def _wall(self, image_shape, selected):
        choice = self.examples(image_shape)
        return {
            "images": [views.png_uri(image) for image in choice],
            "selected": selected,
        }


def _slider(facts, beta):
    low, high = facts.beta_low, facts.beta_high
    return {
        "beta": beta,
        "low": low,
        "high": high,
        "ticks": betas.ticks(low, high),
    }
