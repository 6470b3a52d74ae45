"""`python -m tergan_hf.expression_map`: draw the expression map, see `tergan_hf/cli/expression_map.py`."""

from .cli.expression_map import main


if __name__ == "__main__":
    main()
