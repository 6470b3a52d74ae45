"""`tergan recognize` on whole data sets: parquet files, folders of photos, the Hub; resumed, shared, refused."""

import io

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from PIL import Image as PILImage
from pyarrow import parquet

from tergan_hf import TerGanPipeline
from tergan_hf.annotation import face_reader, parts, run
from tergan_hf.annotation.photo_source import SourceError, open_source
from tergan_hf.annotation.run import Job, recognize_set
from tergan_hf.annotation.run_folder import OutputError
from tergan_hf.annotation.sharing import share_of
from tergan_hf.cli import tergan as command
from tergan_hf.model.errors_tergan import MissingFileError
from tergan_hf.model.face_detection_tergan import DetectedFace

from .pictures import encoded


FACE = np.array([[22.0, 24], [42, 24], [32, 34], [25, 44], [39, 44]])


def photo(number: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """A photo whose first pixel tells its number: it has `number` % 3 faces."""
    image = PILImage.new("RGB", (64, 64), (number % 256, number // 256, 90))
    return encoded(image.convert(mode), kind)


def detect(image):
    red, green, _ = image.getpixel((0, 0))
    count = (red + 256 * green) % 3
    return [DetectedFace(np.array([8.0, 8, 56, 56]), FACE + face, 0.9) for face in range(count)]


def write(path, photos, row_group_size=None, **columns):
    features = Features(image=Image(), caption=Value("string"), expression=Value("string"), age=List(Value("int8")))
    rows = {
        "image": [None if photo is None else {"bytes": photo, "path": None} for photo in photos],
        "caption": [f"photo {number}" for number in range(len(photos))],
        "expression": ["joy"] * len(photos),
        "age": [[20, 30]] * len(photos),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    table = Dataset.from_dict(rows, features=features).data.table
    parquet.write_table(table, path, row_group_size=row_group_size)
    return path


@pytest.fixture
def pipe(blendshape_pipeline, monkeypatch):
    monkeypatch.setattr(blendshape_pipeline.detector, "detect", detect)
    return blendshape_pipeline


@pytest.fixture(autouse=True)
def small_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "model_folder", lambda name: tmp_path)
    monkeypatch.setattr(run, "weights_digest", lambda folder: "of the weights")
    for module in ("annotating", "parts"):
        monkeypatch.setattr(f"tergan_hf.annotation.{module}.PHOTOS_PER_PART", 4)


def recognize(pipe, source, output, **settings):
    return recognize_set(Job(str(source), str(output), "model", quiet=True, **settings), lambda device: pipe)


def test_a_row_for_each_face_in_the_order_of_the_source(pipe, tmp_path):
    photos = [photo(number) for number in range(22)]
    write(tmp_path / "set" / "train-00000-of-00002.parquet", photos[:13], row_group_size=5)
    write(tmp_path / "set" / "train-00001-of-00002.parquet", photos[13:])
    write(tmp_path / "set" / "validation.parquet", [photo(2)])
    told = recognize(pipe, tmp_path / "set", tmp_path / "out", blendshapes=True)
    assert told[0].endswith(
        "out: 23 photos, 23 faces; 8 photos without a face and 0 that cannot be read are listed in without_faces"
    )
    found = load_dataset(str(tmp_path / "out"), cache_dir=tmp_path / "cache")
    assert found["validation"]["row"] == [0, 0]
    rows = found["train"]
    assert list(zip(rows["row"], rows["face"])) == [(n, face) for n in range(22) for face in range(n % 3)]
    assert rows["caption"][:3] == ["photo 1", "photo 2", "photo 2"] and rows[0]["age"] == [20, 30]
    assert set(rows["source_expression"]) == {"joy"} and "image" not in rows.column_names
    answer = pipe.recognize_faces(PILImage.open(io.BytesIO(photos[2])), blendshapes=True)
    for row, face in zip(rows.select([1, 2]), answer):
        assert row["expression"] == face["scores"][0]["label"]
        assert row["score"] == pytest.approx(face["scores"][0]["score"], abs=1e-5)
        assert row["scores"] == pytest.approx({s["label"]: s["score"] for s in face["scores"]}, abs=1e-5)
        assert row["blendshapes"] == pytest.approx(face["blendshapes"], abs=1e-4)
        assert row["box"] == pytest.approx(face["box"])
    missed = load_dataset(str(tmp_path / "out"), "without_faces", cache_dir=tmp_path / "cache")
    assert missed["train"]["row"] == list(range(0, 22, 3)) and set(missed["train"]["reason"]) == {"no face was found"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        "README.md", "faces", "recognition.json", "without_faces"
    ]  # fmt: skip


def test_photos_that_cannot_be_read_are_listed_with_the_reason(pipe, tmp_path, monkeypatch):
    monkeypatch.setattr(face_reader, "MOST_MEGAPIXELS", 0.005)
    photos = [
        photo(1),
        b"no photo",
        photo(4)[:90],
        None,
        encoded(PILImage.new("RGB", (100, 60))),
        photo(1, "JPEG", "CMYK"),
        photo(1, "PNG", "1"),
    ]
    write(tmp_path / "set.parquet", photos)
    recognize(pipe, tmp_path / "set.parquet", tmp_path / "out")
    missed = parquet.read_table(tmp_path / "out" / "without_faces" / "train-00000-of-00001.parquet").to_pydict()
    reasons = dict(zip(missed["row"], missed["reason"]))
    assert "not an image file" in reasons[1] and "cannot be read" in reasons[2]
    assert reasons[3] == "there is no photo" and "0 megapixels" in reasons[4]
    assert missed["caption"][0] == "photo 1" and 5 not in reasons


def test_an_interrupted_run_goes_on_after_its_last_part(pipe, tmp_path, monkeypatch):
    source = write(tmp_path / "set.parquet", [photo(number) for number in range(22)])
    seen = []

    def interrupted(image):
        if len(seen) == 10:
            raise KeyboardInterrupt
        seen.append(image.getpixel((0, 0))[0])
        return detect(image)

    monkeypatch.setattr(pipe.detector, "detect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recognize(pipe, source, tmp_path / "out")
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 2
    again = []
    monkeypatch.setattr(
        pipe.detector, "detect", lambda image: again.append(image.getpixel((0, 0))[0]) or detect(image)
    )
    recognize(pipe, source, tmp_path / "out")
    assert again == list(range(8, 22))
    rows = parquet.read_table(tmp_path / "out" / "faces" / "train-00000-of-00001.parquet")["row"].to_pylist()
    assert rows == [n for n in range(22) for _ in range(n % 3)]
    assert recognize(pipe, source, tmp_path / "out") == [f"{tmp_path / 'out'} is complete already"]


def test_a_full_disk_ends_the_run_with_a_sentence(pipe, tmp_path, monkeypatch):
    source = write(tmp_path / "set.parquet", [photo(number) for number in range(6)])
    monkeypatch.setattr(TerGanPipeline, "from_pretrained", lambda *_: pipe)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parts.parquet, "write_table", full)
        with pytest.raises(SystemExit, match=r"tergan: no space left .*free some, then repeat the command to go on"):
            command.main(["recognize", str(source), "-o", str(tmp_path / "out"), "--model", "model", "-q"])
    assert not list((tmp_path / "out" / "parts").iterdir())
    assert "6 photos, 6 faces" in recognize(pipe, source, tmp_path / "out")[0]


@pytest.mark.parametrize("shards, count", [(1, 1), (1, 3), (2, 5), (7, 3), (4, 4)])
def test_processes_share_every_part_once(shards, count):
    taken = [
        (share.shard, part)
        for index in range(count)
        for share in share_of(shards, index, count)
        for part in range(share.first, 40, share.step)
    ]
    assert sorted(taken) == [(shard, part) for shard in range(shards) for part in range(40)]


def test_another_run_is_not_mixed_in(pipe, tmp_path):
    source = write(tmp_path / "set.parquet", [photo(1)])
    recognize(pipe, source, tmp_path / "out")
    with pytest.raises(OutputError, match="was made from another choice of --blendshapes: add --overwrite"):
        recognize(pipe, source, tmp_path / "out", blendshapes=True)
    recognize(pipe, source, tmp_path / "out", blendshapes=True, overwrite=True)
    write(source, [photo(1), photo(2)])
    with pytest.raises(OutputError, match="was made from other photos"):
        recognize(pipe, source, tmp_path / "out", blendshapes=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else"):
        recognize(pipe, source, tmp_path / "full", overwrite=True)
    with pytest.raises(OutputError, match="is in the folder of the photos"):
        recognize(pipe, tmp_path, tmp_path / "below")


def test_a_folder_of_photos_is_a_source(pipe, tmp_path):
    for number in (1, 2, 3):
        path = tmp_path / "photos" / "a [1]" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    recognize(pipe, tmp_path / "photos", tmp_path / "out")
    rows = parquet.read_table(tmp_path / "out" / "faces" / "train-00000-of-00001.parquet").to_pydict()
    assert rows["file_name"] == ["a [1]/1.png", "a [1]/2.png", "a [1]/2.png"]


def test_what_cannot_be_a_source_is_named(tmp_path):
    Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "text.parquet")
    with pytest.raises(SourceError, match=r"text.parquet has no column of photos \(it has: text\)"):
        open_source(str(tmp_path / "text.parquet"))
    with pytest.raises(SourceError, match="the column 'text' holds no photos"):
        open_source(str(tmp_path / "text.parquet"), image_column="text")
    source = str(write(tmp_path / "set.parquet", [photo(1)]))
    with pytest.raises(SourceError, match=r"no column 'photo' \(it has: image, caption, expression, age\)"):
        open_source(source, image_column="photo")
    with pytest.raises(SourceError, match=r"no split 'test' \(it has: train\)"):
        open_source(source, split="test")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(SourceError, match=r"bad\.parquet cannot be read"):
        open_source(str(tmp_path / "bad.parquet"))
    with pytest.raises(MissingFileError, match=r"there is no .*gone"):
        open_source(str(tmp_path / "gone"))
    with pytest.raises(SourceError, match="hub://faces is no name of a data set"):
        open_source("hub://faces")


@pytest.mark.parametrize(
    "words, said",
    [
        (["set.parquet"], "add --output with a folder or hub://owner/name"),
        (["set.parquet", "a.jpg", "-o", "out"], "name it alone"),
        (["set.parquet", "-o", "out.csv"], "a folder of parquet files or hub://owner/name, got out.csv"),
        (["photos", "-o", "out.txt"], "the output must be a .json or .csv file, got 'out.txt'"),
        (["a.jpg", "--split", "train"], "--split is for whole data sets"),
        (["hub://me/faces", "-o", "hub://me/faces"], "hub://me/faces is the source"),
    ],
)
def test_a_wrong_command_line_is_a_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("set.parquet", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(SystemExit) as stopped:
        command.main(["recognize", *words, "--model", "model"])
    assert said in str(stopped.value)
