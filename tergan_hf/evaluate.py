"""`python -m tergan_hf.evaluate`: measure a saved model, see `tergan_hf/cli/evaluate.py`."""

from .cli.evaluate import main


if __name__ == "__main__":
    main()
