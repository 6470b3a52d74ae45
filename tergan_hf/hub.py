"""`python -m tergan_hf.hub`: publish on the Hub, see `tergan_hf/cli/hub.py`."""

from .cli.hub import main


if __name__ == "__main__":
    main()
