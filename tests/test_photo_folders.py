"""Photo folders and tables as people have them: names that look like patterns, tables from spreadsheets."""

import os
import re

import pytest
from PIL import Image

from tergan_hf.data.image_cells import decode
from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.model.errors_tergan import InvalidInputError, TerGanError

from .faces import loose_crops
from .sources import write_photo
from .test_building import refusal, run


ODD_NAMES = ["faces [v2]", "faces*", "x::y", "what?", "hf:", "a{b,c}d", "back\\slash", "100% #1 ~", "[", "**", "имя"]
NOT_UTF8 = os.fsdecode(b"not utf-8 \xff")


def label_photos(folder, label: str, names=("a.png", "b.png")):
    """Write photos with a `metadata.csv` that gives all of them one label."""
    for name in names:
        write_photo(folder / name)
    rows = "".join(f"{name},{label}\n" for name in names)
    (folder / "metadata.csv").write_text("file_name,expression\n" + rows)
    return folder


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", [*ODD_NAMES, NOT_UTF8])
def test_a_folder_is_loaded_whatever_its_name_and_no_other(tmp_path, name, streaming):
    label_photos(tmp_path / "faces1", "fear")
    label_photos(tmp_path / "x", "fear")
    for photos in (label_photos(tmp_path / name, "anger"), label_photos(tmp_path / "in" / name / "below", "anger")):
        rows = list(load_photos(str(photos), streaming=streaming))
        assert [row["expression"] for row in rows] == ["anger"] * 2
        assert decode(rows[0]["image"]).size == (16, 16)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", [*ODD_NAMES, NOT_UTF8])
def test_parquet_files_are_loaded_whatever_their_folder(tmp_path, name, streaming):
    plain = loose_crops(tmp_path / "plain.parquet", 4)
    for other in ("faces1", "x"):
        (tmp_path / other).mkdir()
        loose_crops(tmp_path / other / "train.parquet", 7)
    (tmp_path / name).mkdir()
    (tmp_path / name / "train.parquet").write_bytes(plain.read_bytes())
    for path in (tmp_path / name, tmp_path / name / "train.parquet"):
        rows = list(load_photos(str(path), streaming=streaming))
        assert len(rows) == 4 and decode(rows[0]["image"]).size == (48, 48) and rows[0]["identity"] == ""


def test_a_set_is_built_into_a_folder_of_any_name(monkeypatch, tmp_path):
    for name in ODD_NAMES:
        write_photo(tmp_path / name / "ann" / "calm" / "1.png")
        photos = run(monkeypatch, "folder", tmp_path / name, tmp_path / "out" / name, "--whole")
        assert list(photos["expression"]) == ["calm"], name


def test_a_hub_id_is_not_taken_for_a_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    label_photos(tmp_path / "org" / "faces", "anger")
    with pytest.raises(InvalidInputError, match=r"hub://org/faces: there is also a folder org/faces"):
        load_photos("hub://org/faces")


TABLES = {
    "semicolons": b"file_name;expression;identity\na.png;anger;007\nb.png;fear;ann\n",
    "tabs": b"file_name\texpression\tidentity\na.png\tanger\t007\nb.png\tfear\tann\n",
    "byte order mark": "\ufefffile_name,expression,identity\na.png,anger,007\nb.png,fear,ann\n".encode(),
    "UTF-16": "file_name\texpression\tidentity\na.png\tanger\t007\nb.png\tfear\tann\n".encode("utf-16"),
    "UTF-32": "file_name,expression,identity\na.png,anger,007\nb.png,fear,ann\n".encode("utf-32"),
    "UTF-16 without a mark": "file_name,expression,identity\na.png,anger,007\nb.png,fear,ann\n".encode("utf-16-le"),
    "Excel's hint": b"sep=;\r\nfile_name;expression;identity\r\na.png;anger;007\r\nb.png;fear;ann\r\n",
    "capitals, spaces, empty rows": b"\nFile_Name, Expression ,identity\n\na.png , anger,007\n,,\nb.png,fear,ann\n",
    "quotes": b'"file_name";"expression";"identity"\n"a.png";"anger";"007"\n"b.png";"fear";"ann"\n',
    "old line ends": b"file_name,expression,identity\ra.png,anger,007\rb.png,fear,ann\r",
    "a trailing separator": b"file_name,expression,identity,\na.png,anger,007,\nb.png,fear,ann,\n",
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_spreadsheets_are_read(monkeypatch, tmp_path, kind):
    for name in ("a.png", "b.png"):
        write_photo(tmp_path / "set" / name)
    (tmp_path / "set" / "metadata.csv").write_bytes(TABLES[kind])
    photos = load_photos(str(tmp_path / "set"))
    assert list(photos["expression"]) == ["anger", "fear"] and list(photos["identity"]) == ["007", "ann"]
    built = run(monkeypatch, "folder", tmp_path / "set", tmp_path / "out", "--whole")
    assert set(zip(built["expression"], built["identity"])) == {("anger", "007"), ("fear", "ann")}


FAULTS = {
    "cp1252": ("file_name,expression,identity\na.png,anger,x\nb.png,fear,André\n".encode("cp1252"), "line 3: .*0xe9"),
    "no file_name": (b"photo,expression\na.png,anger\n", r"no column file_name \(it has: photo, expression\)"),
    "an empty table": (b"", "no column file_name"),
    "a missing file": (b"file_name,expression\na.png,anger\nc.png,fear\n", r"line 3: there is no file c\.png"),
    "a photo twice": (b"file_name,expression\na.png,anger\nb.png,fear\na.png,joy\n", r"line 4: a\.png .*line 2"),
    "a photo twice, spelt otherwise": (b"file_name,expression\na.png,anger\n./a.png,fear\n", "line 3: .*line 2"),
    "a column twice": (b"file_name,expression,expression\na.png,anger,fear\n", "line 1: .*'expression'.*twice"),
    "too many cells": (b"file_name,expression\na.png,anger\nb.png,fear,x\n", "line 3: 3 cells"),
    "no label": (b"file_name,expression\na.png,anger\nb.png,\n", "line 3: the .*expression is empty"),
    "no file name": (b"file_name,expression\n,anger\n", "line 2: the file name .*is empty"),
    "an open quote": (b'file_name,expression\na.png,"anger\nb.png,fear\n', "line 3: "),
    "a null character": (b"file_name,expression\na.png,anger\nb\0.png,fear\n", "line 3: "),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_table_names_the_file_and_the_line(monkeypatch, tmp_path, fault):
    content, message = FAULTS[fault]
    for name in ("a.png", "b.png"):
        write_photo(tmp_path / "set" / name)
    (tmp_path / "set" / "metadata.csv").write_bytes(content)
    with pytest.raises(TerGanError, match=rf"metadata\.csv.*{message}"):
        load_photos(str(tmp_path / "set"))
    assert re.search(message, refusal(monkeypatch, "folder", tmp_path / "set", tmp_path / "out", "--whole"))
    assert not (tmp_path / "out").exists()


def test_json_lines_and_mixed_tables_are_checked_too(tmp_path):
    write_photo(tmp_path / "a.png")
    table = tmp_path / "metadata.jsonl"
    for content, message in (
        ('{"file_name": "a.png", "expression": "fear"}\n{"file_name": \n', r"metadata\.jsonl, line 2: not JSON"),
        ('["a.png"]\n', "line 1: expected an object"),
        ('{"file": "a.png", "expression": "fear"}\n', "line 1: there is no file_name"),
        ('{"file_name": "b.png", "expression": "fear"}\n', "line 1: there is no file b"),
    ):
        table.write_text(content)
        with pytest.raises(TerGanError, match=message):
            load_photos(str(tmp_path))
    table.write_text('{"file_name": "a.png", "expression": "fear", "expression_id": 3, "blendshapes": [0.5, 1.0]}\n')
    row = load_photos(str(tmp_path))[0]
    assert row["expression_id"] == 3 and row["blendshapes"] == [0.5, 1.0] and row["identity"] == ""
    (tmp_path / "metadata.csv").write_text("file_name,expression\na.png,anger\n")
    with pytest.raises(InvalidInputError, match=r"both name .*a\.png"):
        load_photos(str(tmp_path))


def test_splits_are_folders_and_none_is_left_out_silently(tmp_path):
    label_photos(tmp_path / "train", "anger")
    label_photos(tmp_path / "validation", "fear", ["c.png"])
    assert list(load_photos(str(tmp_path))["expression"]) == ["anger", "anger"]
    assert list(load_photos(str(tmp_path), "validation")["expression"]) == ["fear"]
    label_photos(tmp_path / "ann", "fear")
    with pytest.raises(InvalidInputError, match=r"train/a\.png belongs to a split by its name, ann/a\.png to none"):
        load_photos(str(tmp_path))


def test_a_changed_photo_is_cropped_again(tmp_path):
    folder = label_photos(tmp_path / "faces", "anger", ["a.png"])
    before = decode(make_padded_crops(load_photos(str(folder)), 32, align=False)[0]["image"])
    Image.new("RGB", (16, 16), "red").save(folder / "a.png")
    os.utime(folder / "a.png", (1e9, 1e9))
    after = decode(make_padded_crops(load_photos(str(folder)), 32, align=False)[0]["image"])
    assert before.getpixel((8, 8)) == (0, 0, 0) and after.getpixel((10, 10))[0] > 200


def test_photos_of_own_sets_are_told_by_content_and_hidden_files_left_out(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "own" / "ann" / "calm"
    write_photo(folder / "1.png")
    kinds = {
        "jfif": "JPEG",
        "jpe": "JPEG",
        "avif": "AVIF",
        "gif": "GIF",
        "jp2": "JPEG2000",
        "JPG": "JPEG",
        "dat": "PNG",
    }
    for ending, kind in kinds.items():
        Image.new("RGB", (16, 16)).save(folder / f"x.{ending}", kind)
    Image.new("RGB", (16, 16)).save(folder / "without ending", "PNG")
    os.rename(write_photo(folder / "2.png"), os.path.join(os.fsencode(folder), b"not utf-8 \xff.png"))
    for name in ("._1.png", ".DS_Store", "notes.txt", "Thumbs.db"):
        (folder / name).write_bytes(b"\0\5\x16\7" + bytes(100))
    photos = run(monkeypatch, "folder", tmp_path / "own", tmp_path / "out", "--whole")
    assert len(photos) == len(kinds) + 3 and "ann/calm/not utf-8 \\xff.png" in photos["file_name"][:]
    printed = capsys.readouterr().err
    assert "IDENTITY/EXPRESSION: ann/calm/Thumbs.db, ann/calm/notes.txt" in printed and "._1" not in printed
