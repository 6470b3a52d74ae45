"""Publish: `python -m tergan_hf.hub push weights/ter-gan org/ter-gan`, `... push-space org/ter-gan-demo`."""

import argparse
import sys

from huggingface_hub.errors import HfHubHTTPError

from ..model.errors_tergan import TerGanError
from ..publishing.hub import push_model, push_space


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.hub", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    push = commands.add_parser("push", help="weights, code, card, example photos → a model repository")
    push.add_argument("weights", help="folder that save_pretrained or the trainer wrote")
    push.add_argument("repo_id", help="owner/name")
    push.add_argument("--revision", help="branch to push to")
    push.add_argument("--tag", help="name for this state")
    push.add_argument("--half", action="store_true", help='add half precision, for from_pretrained(variant="fp16")')
    space = commands.add_parser("push-space", help="the app → a Gradio Space")
    space.add_argument("repo_id", help="owner/name")
    space.add_argument("--model", help="model on the Hub that the Space opens; default: the weights it brings")
    for command in (push, space):
        command.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    options = parser.parse_args(argv)
    try:
        if options.command == "push":
            address = push_model(
                options.weights, options.repo_id, options.private, options.revision, options.tag, half=options.half
            )
        else:
            address = push_space(options.repo_id, options.model, options.private)
    except (TerGanError, HfHubHTTPError) as error:
        sys.exit(f"tergan_hf.hub: {error}")
    print(address)


if __name__ == "__main__":
    main()
