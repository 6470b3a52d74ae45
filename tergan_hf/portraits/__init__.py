"""Portraits in any expression: a 3D face fitted to a photo, textured with it, moved, and rendered back over it."""
