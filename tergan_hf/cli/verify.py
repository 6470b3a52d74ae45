"""`tergan verify`: say what files claim about where they come from, and whether their signatures hold."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ..model.errors_tergan import MissingFileError
from ..provenance.manifest import INPUT, PARENT
from ..provenance.metadata import SYNTHETIC_SOURCE_TYPES
from ..provenance.verification import IngredientClaims, ManifestClaims, Provenance, verify_file
from ..provenance.watermark import Watermark
from .outputs import CommandError


RELATIONSHIPS = {PARENT: "changed from", INPUT: "expression from"}


def add_arguments(parser: argparse.ArgumentParser):
    """Add the arguments of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="photos and clips")
    parser.add_argument(
        "--trust", metavar="PEM", help="PEM file of certificates; the signer's must chain to one of them"
    )
    parser.add_argument("--watermark", action="store_true", help="also look for the invisible mark in photos")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=verify_command)


def verify_command(options) -> int:
    """Run `tergan verify`. Returns the number of files without a signature that holds."""
    trust = _read_trust_list(options.trust) if options.trust else None
    watermark = Watermark() if options.watermark else None
    found, missing = [], 0
    for name in options.files:
        try:
            found.append(verify_file(name, trust, watermark))
        except MissingFileError as error:
            print(f"tergan: {error}", file=sys.stderr)
            missing += 1
            continue
        if not options.json:
            print("\n".join(_printable(line) for line in describe(found[-1])))
    if options.json:
        print(json.dumps([{**asdict(entry), "holds": entry.holds} for entry in found], indent=2))
    return missing + sum(not entry.holds for entry in found)


def describe(provenance: Provenance) -> Iterator[str]:
    """What a file claims, in plain words, line by line."""
    yield provenance.file
    metadata, manifest = provenance.metadata, provenance.manifest
    said = []
    if metadata.description:
        said.append(f"“{metadata.description}”")
    if metadata.source_type:
        meaning = SYNTHETIC_SOURCE_TYPES.get(metadata.source_type)
        said.append(f"{metadata.source_type}{f' ({meaning})' if meaning else ''}")
    yield f"  metadata:  {', '.join(said) or 'nothing about the origin'}"
    if provenance.watermark is not None:
        yield f"  watermark: {'made with TER-GAN' if provenance.watermark else 'none'}"
    if manifest is None:
        yield f"  manifest:  {provenance.note or 'none'}"
        if metadata.synthetic:
            claim = "says that it is synthetic, but it is not signed: anybody can write and remove metadata"
        else:
            claim = "does not say that it is synthetic, and it is not signed"
        yield f"  result:    NOT VERIFIED. The file {claim}."
        return
    yield from _describe_manifest(manifest)
    if manifest.problems:
        yield f"  result:    REFUSED: {'; '.join(manifest.problems)}."
    elif manifest.trusted:
        yield "  result:    VERIFIED. The file is as it was signed, and the signer is on the trust list."
    else:
        yield "  result:    VERIFIED. The file is as it was signed. The signer's name is unchecked; --trust checks it."


def _describe_manifest(manifest: ManifestClaims) -> Iterator[str]:
    yield f"  manifest:  by {manifest.generator or 'an unnamed program'}"
    yield f"  signer:    {manifest.signer or 'unnamed'}" + (f", {manifest.signed_at}" if manifest.signed_at else "")
    for action in manifest.actions:
        yield f"  action:    {action}"
    for ingredient in manifest.ingredients:
        yield f"  made of:   {_describe_ingredient(ingredient)}"


def _describe_ingredient(ingredient: IngredientClaims) -> str:
    text = f"{RELATIONSHIPS.get(ingredient.relationship, ingredient.relationship)} {ingredient.media_type or 'a file'}"
    if ingredient.signer is None:
        return f"{text}, without a manifest"
    if ingredient.problems:
        return f"{text}, signed by {ingredient.signer}; BROKEN already then: {'; '.join(ingredient.problems)}"
    return f"{text}, signed by {ingredient.signer}; its signature held"


def _printable(line: str) -> str:
    """A line in which nothing that a file says can steer the terminal."""
    return "".join(character if character.isprintable() else "�" for character in line)


def _read_trust_list(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"--trust: {name} cannot be read ({error.strerror})") from error
