"""A family of a user's own: the VAE with a total-correlation term and a knob
for it. Imports no TensorFlow before it is used."""

import dataclasses

from yoto_tf.families import get_preset
from yoto_tf.families.vae.family import VaeFamily
from yoto_tf.parameter_config import ParameterConfig


def _tiny(data_dir=None):
    smoke = get_preset("smoke", "vae")
    config = dataclasses.replace(
        smoke.config,
        data=dataclasses.replace(smoke.config.data, data_dir=data_dir),
        further=(ParameterConfig(name="tc", low=0.5, high=8.0),),
        objective=dataclasses.replace(smoke.config.objective, group_size=8),
    )
    return dataclasses.replace(smoke, config=config)


FAMILY = VaeFamily(
    "own_model:TCVAE", further=("tc",), presets={"tiny_tc": _tiny()}
)
