"""The model of `own_family`."""

import keras

import yoto_tf


@keras.saving.register_keras_serializable("tests")
class TCVAE(yoto_tf.ConditionalVAE):
    """The VAE with the total correlation of its code as a third term."""

    def loss_terms(self, x, y, outputs, loss_parameters):
        parts = (outputs[n] for n in ("latent", "mean", "stddev"))
        tc = self.per_group(yoto_tf.total_correlation, *parts)
        terms = super().loss_terms(x, y, outputs, loss_parameters)
        return {**terms, "tc": tc}
