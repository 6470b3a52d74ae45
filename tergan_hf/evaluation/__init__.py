"""Measure a saved model on people it was not trained on. The command is `python -m tergan_hf.evaluate`."""
