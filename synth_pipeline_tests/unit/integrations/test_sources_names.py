import pytest

from synth_pipeline.integrations.sources import Arrival, Book
from synth_pipeline.integrations.sources.contract import keyed_stamp, listing_digest
from synth_pipeline.integrations.sources.name import fault_of, name_filter, partition_title


@pytest.mark.parametrize(
    "pattern, fitting, others",
    [
        ("*.parquet", ["a.parquet"], ["b/a.parquet", "a.csv", "a.parquet.tmp", ".a.parquet"]),
        ("**/*.parquet", ["a.parquet", "b/a.parquet", "b/c/a.parquet"], ["b/_temporary/0/a.parquet", "b/.c/a.parquet"]),
        ("year=*/part-?.csv", ["year=2026/part-1.csv"], ["year=2026/part-12.csv", "year=2026/q1/part-1.csv"]),
        ("gss_19[78]*", ["gss_1974.parquet", "gss_1985.csv"], ["gss_1990.parquet", "gss_1974/a.parquet"]),
        ("[!_]*.csv", ["a.csv"], ["_a.csv", "b/a.csv"]),
        ("in/**", ["in/a", "in/b/c.parquet"], ["out/a", "in/_SUCCESS", "in/a.inprogress"]),
        ("a+(b).csv", ["a+(b).csv"], ["aab.csv"]),
    ],
)
def test_a_pattern_fits_within_one_level_unless_it_says_otherwise(pattern, fitting, others):
    fits = name_filter(pattern)
    assert [name for name in fitting if not fits(name)] == []
    assert [name for name in others if fits(name)] == []


def test_a_partition_is_called_after_the_path_or_after_the_file_that_is_named_by_hand():
    assert partition_title("2026/north/visits 1.parquet") == "2026-north-visits-1"
    assert partition_title("/data/incoming/visits.parquet") == "visits"


def test_a_name_or_an_empty_content_can_rule_a_snapshot_out():
    assert fault_of("a.parquet", 1) is None
    assert fault_of("a.CSV", 1) is None
    assert fault_of("a", 1) == "its name has no extension; snapshots end in .parquet or .csv"
    assert fault_of("a.xlsx", 0) == "its name ends in .xlsx; snapshots end in .parquet or .csv"
    assert fault_of("a.csv", 0) == "it is empty (0 bytes); write a table with at least one row"


def test_the_digest_of_a_listing_hangs_on_every_name_and_stamp_and_not_on_their_order():
    key = b"k" * 32
    one, two = Arrival("a", keyed_stamp(key, 1)), Arrival("b", keyed_stamp(key, 2))
    assert listing_digest(key, [one, two]) == listing_digest(key, [two, one])
    others = [[one], [one, one], [one, Arrival("b", one.stamp)], [one, Arrival("c", two.stamp)]]
    assert len({listing_digest(key, found) for found in [[one, two], *others]}) == 5
    assert listing_digest(b"j" * 32, [one, two]) != listing_digest(key, [one, two])


def test_long_names_that_are_alike_for_eighty_letters_are_different_partitions():
    names = [f"{'a' * 90}{number}.parquet" for number in range(3)]
    book, made = Book().with_batch([Arrival(name, str(number)) for number, name in enumerate(names)])
    assert len({version.partition for version in made}) == 3
    assert Book.from_json(book.to_json()) == book


def test_names_that_are_no_text_are_kept():
    name = b"caf\xe9.parquet".decode(errors="surrogateescape")
    book, (version,) = Book().with_batch([Arrival(name, keyed_stamp(b"k", name))])
    assert version.partition == "caf"
    assert Book.from_json(book.to_json()) == book
    assert listing_digest(b"k", [Arrival(name, "1")])
