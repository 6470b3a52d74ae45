"""The paper's two-stage training: objective, discriminators, and the stages themselves."""
