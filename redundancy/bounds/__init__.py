"""Bounds: every theorem of the paper as printed and as sharpened, one idea per file."""
