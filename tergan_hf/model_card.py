"""`python -m tergan_hf.model_card`: fill the model card, see `tergan_hf/cli/model_card.py`."""

from .cli.model_card import main


if __name__ == "__main__":
    main()
