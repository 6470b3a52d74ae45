"""Portraits in any expression: fit a 3D face model to a photo, change its expression and render it with exact flow."""
