"""`python -m tergan_hf` is the command `tergan`, see `tergan_hf/cli/tergan.py`."""

from .cli.tergan import main


if __name__ == "__main__":
    main()
