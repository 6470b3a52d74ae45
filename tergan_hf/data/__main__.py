"""`python -m tergan_hf.data`: build a data set (see `tergan_hf/cli/data.py`)."""

from ..cli.data import main


if __name__ == "__main__":
    main()
