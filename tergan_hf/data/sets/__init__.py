"""Importers of public sources. Each module knows the layout of one source and plans a set from it."""

from . import bu_4dfe, canada, congress, fer2013, folder, london, oulu_casia


SETS = {module.DESCRIPTION.name: module for module in (oulu_casia, bu_4dfe, fer2013, london, canada, congress, folder)}
