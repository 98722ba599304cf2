"""The family `compression`: pictures as few bits, for every quality."""
