"""Importers of public sources. Each module knows one layout and plans the set that is made from it."""

from . import bu_4dfe, fer2013, folder, london, oulu_casia


SETS = {module.DESCRIPTION.name: module for module in (oulu_casia, bu_4dfe, fer2013, london, folder)}
