"""The family `tabular`: a network on a table, with a loss that has a knob."""
