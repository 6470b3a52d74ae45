"""Public sources, each a module that knows one layout and plans the set that is made of it."""

from . import avatars, bu_4dfe, fer2013, folder, london, oulu_casia


SETS = {
    module.DESCRIPTION.name: module for module in (avatars, oulu_casia, bu_4dfe, fer2013, london, folder)
}  # fmt: skip
