"""The computations for figures in these pages."""
