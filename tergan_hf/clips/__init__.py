"""Driving clips with known truth: people and heads who talk, blink, look around and act."""
