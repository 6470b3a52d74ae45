"""London, Canada and Congress: people named by their files, people left out, labels and cards."""

import pytest
from PIL import Image

from tergan_hf.data.building import BuildError
from tergan_hf.portraits.people import find_people, is_of_a_known_set, named_people, require_distinct

from .sources import write_face, write_photo
from .test_building import refusal, run


@pytest.fixture
def london(tmp_path):
    for person in ("001", "014", "066"):
        write_photo(tmp_path / "photos" / "neutral_front" / f"{person}_03.jpg")
        write_photo(tmp_path / "photos" / "smiling_front" / f"{person}_08.jpg")
    return tmp_path / "photos"


@pytest.fixture
def canada(tmp_path):
    for name in ("003f", "095m", "average"):
        write_photo(tmp_path / "young adults" / f"{name}.jpg")
    (tmp_path / "young adults" / "003f.tem").write_text("189\n1 2\n")
    return tmp_path / "young adults"


@pytest.fixture
def congress(tmp_path):
    for name in ("A000014", "B000220", "C000059"):
        write_photo(tmp_path / "images" / f"{name}.jpg")
    return tmp_path / "images"


def test_people_of_london_are_left_out_by_name(monkeypatch, tmp_path, london):
    photos = run(monkeypatch, "london", london, tmp_path / "out", "--whole", "--exclude", "london_014", "london_066")
    assert set(photos["identity"]) == {"london_001"} and len(photos) == 2
    assert "--exclude london_014 london_066" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("name, known", [("london", "london_001"), ("canada", "canada_003f"), ("congress", "A000014")])
def test_an_unknown_person_is_refused_with_some_known_ones(monkeypatch, tmp_path, request, name, known):
    message = refusal(
        monkeypatch, name, request.getfixturevalue(name), tmp_path / "out", "--whole", "--exclude", "london_999"
    )
    assert "--exclude names people who are not in the source: london_999" in message and known in message


def test_somebody_must_be_left(monkeypatch, tmp_path, canada):
    options = ("--whole", "--exclude", "canada_003f", "canada_095m")
    assert "leaves nobody" in refusal(monkeypatch, "canada", canada, tmp_path / "out", *options)


def test_people_of_canada_are_neutral_and_named_by_file(monkeypatch, tmp_path, canada):
    photos = run(monkeypatch, "canada", canada, tmp_path / "out", "--whole")
    assert sorted(zip(photos["identity"], photos["expression"], photos["gender"])) == [
        ("canada_003f", "neutral", "female"), ("canada_095m", "neutral", "male"),
    ]  # fmt: skip
    card = (tmp_path / "out" / "README.md").read_text()
    assert "cc-by-4.0" in card and "DeBruine, Lisa" in card and "10.6084/m9.figshare.4220517" in card


def test_congress_has_no_labels(monkeypatch, tmp_path, congress):
    photos = run(monkeypatch, "congress", congress, tmp_path / "out", "--whole", "--exclude", "congress_C000059")
    assert sorted(photos["identity"]) == ["congress_A000014", "congress_B000220"]
    assert set(photos["expression"]) == {""}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "named public figures: models are trained on them, and nobody ever depicts them" in card
    assert "US Government Publishing Office" in card and "| (no label) | 2 |" in card


def test_congress_can_be_labelled(monkeypatch, tmp_path, congress):
    table = tmp_path / "labels.csv"
    table.write_text("identity,expression\ncongress_A000014,Smiling\ncongress_B000220,neutral\ncongress_C000059,\n")
    photos = run(monkeypatch, "congress", congress, tmp_path / "out", "--whole", "--labels", str(table))
    assert sorted(zip(photos["identity"], photos["expression"])) == [
        ("congress_A000014", "happiness"), ("congress_B000220", "neutral"),
    ]  # fmt: skip
    assert "labels.csv; 1 people without a label" in (tmp_path / "out" / "README.md").read_text()
    # Other labels are another set.
    table.write_text("identity,expression\ncongress_A000014,neutral\ncongress_B000220,Smiling\ncongress_C000059,\n")
    options = ("--whole", "--labels", str(table))
    assert "holds another set" in refusal(monkeypatch, "congress", congress, tmp_path / "out", *options)
    table.write_text("identity,expression\ncongress_A000014,neutral\ncongress_A000014,fear\n")
    assert "line 3: congress_A000014 has another label" in refusal(
        monkeypatch, "congress", congress, tmp_path / "twice", *options
    )
    table.write_text("identity,expression\ncongress_Z999999,fear\n")
    assert "not in the source: congress_Z999999" in refusal(
        monkeypatch, "congress", congress, tmp_path / "other", *options
    )


def test_the_largest_photos_of_a_clone_are_taken(monkeypatch, tmp_path):
    for size, side in (("225x275", 20), ("450x550", 40), ("original", 80)):
        write_photo(tmp_path / "clone" / "congress" / size / "A000014.jpg", side=side)
    for source, out in (("clone", "a"), ("clone/congress", "b")):
        photos = run(monkeypatch, "congress", tmp_path / source, tmp_path / out, "--whole")
        assert len(photos) == 1 and photos[0]["file_name"].endswith("original/A000014.jpg")


def test_crops_are_cut_from_the_whole_photo(monkeypatch, tmp_path):
    write_face(tmp_path / "canada" / "003f.jpg")
    photos = run(monkeypatch, "canada", tmp_path / "canada", tmp_path / "out", "--size", "300")
    assert len(photos[0]["landmarks"]) == 5
    (tmp_path / "crop.jpg").write_bytes(photos[0]["image"]["bytes"])
    assert Image.open(tmp_path / "crop.jpg").size == (300, 300)


@pytest.mark.parametrize("name", ["canada", "congress"])
def test_folders_without_the_sets_photos_are_refused(monkeypatch, tmp_path, name):
    write_photo(tmp_path / "own" / "ann.jpg")
    assert "holds no photos of this set: expected" in refusal(monkeypatch, name, tmp_path / "own", tmp_path / "out")


def test_files_of_other_names_are_other_people(tmp_path):
    folder = tmp_path / "friends"
    for name in ("face_01.jpg", "face_02.jpg", "anna.b.jpg", "anna.jpg"):
        write_photo(folder / name)
    people = find_people(folder)
    assert [one.identity for one in people] == [
        "friends_anna.b", "friends_anna", "friends_face_01", "friends_face_02",
    ]  # fmt: skip
    assert [one.identity for one in named_people(people, ("anna.b",), "--exclude")] == ["friends_anna.b"]
    assert not any(map(is_of_a_known_set, people))
    write_photo(tmp_path / "london" / "014_03.jpg")
    write_photo(tmp_path / "mine" / "014.jpg")
    (client,), (own,) = find_people(tmp_path / "london"), find_people(tmp_path / "mine")
    assert client.identity == "london_014" and is_of_a_known_set(client) and not is_of_a_known_set(own)
    write_photo(folder / "anna.png")
    with pytest.raises(BuildError, match=r"anna\.jpg and .*anna\.png would both be friends_anna"):
        require_distinct(find_people(folder))
