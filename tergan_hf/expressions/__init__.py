"""The shared language of expression: ARKit blendshapes and gaze, how they are drawn, and how they move in time."""
