"""`python -m tergan_hf.export`: export to ONNX, see `tergan_hf/cli/export.py`."""

from .cli.export import main


if __name__ == "__main__":
    main()
