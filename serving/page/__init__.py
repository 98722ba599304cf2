"""A page that shows one model at every beta, through `serving.client`."""
