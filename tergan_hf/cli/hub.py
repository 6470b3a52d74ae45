"""Publish a model, a data set or the app on the Hub.

`python -m tergan_hf.hub push weights/ter-gan org/ter-gan` publishes weights, `push-dataset data/heads org/heads` a
built data set, `push-space org/ter-gan-demo --hardware zero` a Gradio Space, and `push-space --static org/ter-gan-web`
the page that runs in the browser.
"""

import argparse

from ..publishing.gradio_space import HARDWARE, ZERO, push_space
from ..publishing.hub import push_dataset, push_model
from ..publishing.static_space import push_static_space
from .errors import one_line_errors


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(prog="python -m tergan_hf.hub", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    push = commands.add_parser("push", help="publish weights, code, card and example photos as a model")
    push.add_argument("weights", help="folder that save_pretrained or the trainer wrote")
    push.add_argument("repo_id", help="owner/name")
    push.add_argument("--half", action="store_true", help='add half precision, for from_pretrained(variant="fp16")')
    push.add_argument(
        "--benchmark", metavar="OWNER/NAME", help="benchmark on the Hub whose scores in benchmark.json to publish"
    )
    data = commands.add_parser("push-dataset", help="publish a built data set or a benchmark; private by default")
    data.add_argument("folder", help="folder that tergan_hf.data or tergan_hf.benchmark wrote")
    data.add_argument("repo_id", help="owner/name")
    data.add_argument("--public", action="store_true", help="let everybody see a new repository")
    data.add_argument(
        "--without", nargs="+", default=[], metavar="NAME", help="leave out people whose names begin like this"
    )
    for command in (push, data):
        command.add_argument("--revision", help="branch to push to")
        command.add_argument("--tag", help="tag for the pushed commit")
    space = commands.add_parser(
        "push-space", help="publish the app as a Gradio Space, or the page in the browser as a static one"
    )
    space.add_argument("repo_id", help="owner/name")
    space.add_argument(
        "--hardware", choices=HARDWARE, default=ZERO, metavar="NAME",
        help="hardware of the Gradio Space: zero (a shared GPU, the default), cpu-basic, cpu-upgrade, t4-small, ...",
    )  # fmt: skip
    kind = space.add_mutually_exclusive_group()
    kind.add_argument("--model", help="model on the Hub that the Space opens; default: the weights in this repository")
    kind.add_argument("--static", action="store_true", help="publish what `make web` built, with its model")
    for command in (push, space):
        command.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    options = parser.parse_args(argv)
    with one_line_errors("tergan_hf.hub"):
        if options.command == "push":
            address = push_model(
                options.weights, options.repo_id, options.private, options.revision, options.tag, half=options.half,
                benchmark=options.benchmark,
            )  # fmt: skip
        elif options.command == "push-dataset":
            address = push_dataset(
                options.folder, options.repo_id, options.public, tuple(options.without), options.revision, options.tag
            )
        elif options.static:
            address = push_static_space(options.repo_id, private=options.private)
        else:
            address = push_space(options.repo_id, options.hardware, options.model, options.private)
        print(address)


if __name__ == "__main__":
    main()
