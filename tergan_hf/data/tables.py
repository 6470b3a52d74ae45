"""Read tables of labels as people write them: any common separator, UTF-8 or UTF-16. Errors name the file and line."""

import codecs
import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from ..model.errors_tergan import InvalidInputError, MissingFileError


SEPARATORS = ",;\t|"
LONGEST_CELL = 10_000_000
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?')  # Excel's hint in the first line


def read_csv(
    table: Path, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """
    Read a table row by row. Empty rows are left out, and missing cells at the end of a row are empty.

    Args:
        required: names of columns that must be there. Upper and lower case and spaces around them do not matter.
        optional: names of further columns for which they do not matter either.

    Yields:
        number of the line, and its cells by column, without spaces around them.

    Raises:
        InvalidInputError: a column is missing or there twice, or the text cannot be decoded or parsed. The message
            names the file and the line.
    """
    csv.field_size_limit(LONGEST_CELL)
    with _open_text(table) as file:
        try:
            head = next((line for line in file if line.strip()), "")
            hint = _SEPARATOR_LINE.fullmatch(head.strip())
            file.seek(0)
            separator = hint[1] if hint else _find_separator(head, required)
            rows = csv.reader(file, delimiter=separator, strict=True)
            if hint:
                next(rows)
            names = next((row for row in rows if any(row)), [])
            columns = _columns(table, names, required, optional)
            for row in rows:
                cells = [cell.strip() for cell in row]
                if not any(cells):
                    continue
                if any(cells[len(columns) :]):
                    raise InvalidInputError(
                        f"{table}, line {rows.line_num}: {len(cells)} cells, but the header has {len(columns)}"
                    )
                yield rows.line_num, dict(zip(columns, cells + [""] * (len(columns) - len(cells))))
        except UnicodeDecodeError as error:
            raise _not_text(table, file.encoding) from error
        except csv.Error as error:
            raise InvalidInputError(
                f"{table}, line {rows.line_num}: not a table that can be read ({error})"
            ) from error


def read_jsonl(table: Path) -> Iterator[tuple[int, dict]]:
    """
    Read a file with one JSON object per line.

    Yields:
        number of the line, and the object.

    Raises:
        InvalidInputError: a line is not a JSON object. The message names the file and the line.
    """
    with _open_text(table) as file:
        try:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise InvalidInputError(f"{table}, line {number}: not JSON ({error})") from error
                if not isinstance(row, dict):
                    raise InvalidInputError(f"{table}, line {number}: expected an object in braces, got {row!r}")
                yield number, row
        except UnicodeDecodeError as error:
            raise _not_text(table, file.encoding) from error


def read_lines(file: Path) -> list[str]:
    """
    The lines of a text file with any text in them, without spaces around it.

    Raises:
        InvalidInputError: the file cannot be opened or decoded. The message names it.
    """
    with _open_text(file) as text:
        try:
            return [line.strip() for line in text if line.strip()]
        except UnicodeDecodeError as error:
            raise _not_text(file, text.encoding) from error


def named_file(table: Path, line: int, name: str) -> Path:
    """
    The file that a row of a table names, relative to the table. Backslashes may separate folders, and letters with
    accents may be composed in another way.

    Raises:
        InvalidInputError: the row names no file.
        MissingFileError: there is no such file.
    """
    if not name:
        raise InvalidInputError(f"{table}, line {line}: the file name is empty")
    for spelling in (name, name.replace("\\", "/")):
        for form in (spelling, unicodedata.normalize("NFC", spelling), unicodedata.normalize("NFD", spelling)):
            path = table.parent / form
            try:
                if path.is_file():
                    return path
            except (OSError, ValueError):  # too long, or with a null character
                continue
    raise MissingFileError(f"{table}, line {line}: there is no file {name}")


class NamedFiles:
    """Finds the files that the rows of a table name, and refuses one that two rows name."""

    def __init__(self, table: Path):
        self.table = table
        self._lines: dict[Path, int] = {}

    def find(self, line: int, name: str) -> Path:
        """
        The file that a row names.

        Raises:
            InvalidInputError, MissingFileError: as `named_file`; or another row names the same file.
        """
        path = named_file(self.table, line, name)
        first = self._lines.setdefault(path, line)
        if first != line:
            raise InvalidInputError(f"{self.table}, line {line}: {name} is named in line {first} already")
        return path


def _open_text(table: Path) -> io.TextIOWrapper:
    try:
        with open(table, "rb") as file:
            head = file.read(4)
        return open(table, encoding=_encoding(head), newline="")
    except OSError as error:
        raise InvalidInputError(f"{table} cannot be opened ({error.strerror})") from error


def _encoding(head: bytes) -> str:
    if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # The first letters of a header are ASCII.
    if head[1:2] == b"\0" != head[:1]:
        return "utf-16-le"
    if head[:1] == b"\0" != head[1:2]:
        return "utf-16-be"
    return "utf-8-sig"


def _find_separator(head: str, required: tuple[str, ...]) -> str:
    def fit(separator: str) -> tuple[int, int]:
        cells = [cell.strip().strip('"').lower() for cell in head.split(separator)]
        return sum(name in cells for name in required), len(cells)

    return max(SEPARATORS, key=fit)


def _columns(table: Path, names: list[str], required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    known = {name.lower(): name for name in required + optional}
    columns = [known.get(name.strip().lower(), name.strip()) for name in names]
    while columns and not columns[-1]:
        columns.pop()
    lacking = [name for name in required if name not in columns]
    if lacking:
        found = ", ".join(columns) or "none"
        raise InvalidInputError(f"{table} has no column {' and '.join(lacking)} (it has: {found})")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise InvalidInputError(f"{table}, line 1: the column {twice[0]!r} is there twice")
    return columns


def _not_text(table: Path, encoding: str) -> InvalidInputError:
    """The error for a table that cannot be decoded, with the first line to blame."""
    if not encoding.startswith("utf-8"):
        return InvalidInputError(f"{table} is no complete {encoding.upper()} text: save it as UTF-8")
    with open(table, "rb") as file:
        for number, content in enumerate(file, start=1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                before = content[: error.start].decode("utf-8")[-20:]
                return InvalidInputError(
                    f"{table}, line {number}: the text is not UTF-8 (byte 0x{content[error.start]:02x} after "
                    f"{before!r}); save the table as UTF-8"
                )
    return InvalidInputError(f"{table} is not UTF-8: save it as UTF-8")
