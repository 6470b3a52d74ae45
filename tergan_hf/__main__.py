"""`python -m tergan_hf` is the command `tergan`."""

from .command_line import main


if __name__ == "__main__":
    main()
