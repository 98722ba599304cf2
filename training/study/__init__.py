"""Studies: several methods, widths, seeds and betas, trained, scored and
compared."""
