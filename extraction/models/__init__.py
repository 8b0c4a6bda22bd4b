"""Models: loading them, finding their layers and vision tokens, placing them on a device."""
