"""A page that shows one model under every loss, through `serving.client`."""

from yoto_tf import extras

extras.require("serving", "tyro", "gradio", "tenacity", "urllib3")
