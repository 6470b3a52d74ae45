"""A program that takes its own upload folder, writes a photo there and waits."""

# It runs the file alone: the package would import PyTorch.
OWN_FOLDER = """
import runpy
use = runpy.run_path("tergan_hf/demo/upload_folder.py")["use_own_upload_folder"]
open(use() + "/photo", "w").close()
input()
"""
