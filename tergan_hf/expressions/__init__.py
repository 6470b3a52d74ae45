"""Expressions as ARKit blendshapes and gaze: names, FACS combinations, random sampling and sequences."""
