"""Studies: several methods, widths, seeds and points, trained, scored and
compared."""
