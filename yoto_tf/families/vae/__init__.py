"""The beta-VAE: rate against distortion."""
