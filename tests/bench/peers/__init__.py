"""The same PUT written plainly with other tools, to stand beside the functions in make bench."""
