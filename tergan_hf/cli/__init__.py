"""Commands: arguments in, files and messages out. `tergan_hf/NAME.py` runs each one as `python -m tergan_hf.NAME`."""
