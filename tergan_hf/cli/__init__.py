"""Commands: arguments in, files and messages out. `tergan_hf/NAME.py` makes each one `python -m tergan_hf.NAME`."""
