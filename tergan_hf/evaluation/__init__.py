"""Measuring a saved model on people it was not trained on: `python -m tergan_hf.evaluation --help`."""
