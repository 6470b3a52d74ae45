"""`python -m tergan_hf.benchmark`: build and score the benchmark, see `tergan_hf/cli/benchmark.py`."""

from .cli.benchmark import main


if __name__ == "__main__":
    main()
