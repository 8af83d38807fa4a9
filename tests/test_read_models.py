"""Where the read models live: transactions, positions, and whose read models they are."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError

from adapters.store.read_models import ReadModelDatabase
from adapters.store.statements import MAX_VARIABLES
from projections.runner import ALL, ProjectionRunner
from tests.scenario import APPROVE, ask, presses
from tests.stores import TABLES, everything, open_read_models, opened, position_of, rows

NOTES = """
    CREATE TABLE notes (number BIGINT PRIMARY KEY, words TEXT, mood TEXT);
    CREATE INDEX notes_by_words ON notes (words)
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[ReadModelDatabase]:
    with closing(ReadModelDatabase(tmp_path / "views.db", "feed", {"notes": NOTES})) as database:
        yield database


def note(number: int, words: str | None = "a", mood: str | None = None) -> dict[str, Any]:
    return {"number": number, "words": words, "mood": mood}


# Transactions.


def test_what_a_transaction_wrote_is_seen_when_it_ends(database: ReadModelDatabase) -> None:
    with database.transaction() as tables:
        tables.insert("notes", note(1))
        database.set_positions(tables, {"notes": 7})
        tables.finish()
        assert rows(database, "notes") == []
    assert rows(database, "notes") == [note(1)]
    assert position_of(database, "notes") == 7


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_of_a_transaction_that_fails_nothing_is_kept(
    database: ReadModelDatabase, error: type[BaseException]
) -> None:
    with database.transaction() as tables:
        tables.insert("notes", note(1))
    with pytest.raises(error), database.transaction() as tables:
        tables.insert("notes", note(2))
        tables.delete("notes", {"number": 1})
        tables.finish()
        database.set_positions(tables, {"notes": 7})
        raise error
    assert rows(database, "notes") == [note(1)]
    assert position_of(database, "notes") == 0


def test_a_row_that_is_there_already_fails_the_transaction(database: ReadModelDatabase) -> None:
    with database.transaction() as tables:
        tables.insert("notes", note(1))
    with pytest.raises(IntegrityError), database.transaction() as tables:
        tables.insert("notes", note(2))
        tables.insert("notes", note(1, "again"))
    assert rows(database, "notes") == [note(1)]


def test_a_row_may_come_change_and_go_in_one_transaction(database: ReadModelDatabase) -> None:
    with database.transaction() as tables:
        for number in range(1, 5):
            tables.insert("notes", note(number))
        tables.update("notes", {"number": 1}, {"words": "b"})
        tables.update("notes", {"number": 1}, {"words": "c"})
        tables.update("notes", {"number": 2}, {"mood": "good", "words": None})
        tables.update("notes", {"number": 9}, {"words": "nobody"})
        tables.delete("notes", {"number": 3})
        tables.delete("notes", {"number": 9})
    assert rows(database, "notes") == [note(1, "c"), note(2, None, "good"), note(4)]


def test_only_the_row_with_the_whole_key_is_meant(database: ReadModelDatabase) -> None:
    with database.transaction() as tables:
        for number in range(1, 4):
            tables.insert("notes", note(number, "ab"[number % 2]))
    with database.transaction() as tables:
        tables.update("notes", {"number": 1, "words": "b"}, {"mood": "good"})
        tables.update("notes", {"number": 2, "words": "b"}, {"mood": "bad"})
        tables.delete("notes", {"number": 3, "words": "a"})
    assert rows(database, "notes") == [note(1, "b", "good"), note(2, "a"), note(3, "b")]


def test_more_rows_than_one_statement_takes(database: ReadModelDatabase) -> None:
    many = range(MAX_VARIABLES + 1)
    with database.transaction() as tables:
        for number in many:
            tables.insert("notes", note(number))
            tables.update("notes", {"number": number}, {"words": f"{number}", "mood": "good"})
            if number % 2:
                tables.delete("notes", {"number": number})
    found = database.query("SELECT * FROM notes ORDER BY number")
    assert [dict(row) for row in found] == [note(n, f"{n}", "good") for n in many if not n % 2]


def test_a_question_that_makes_no_sense_is_an_error_of_the_database(
    database: ReadModelDatabase,
) -> None:
    with pytest.raises(OperationalError, match="nowhere"):
        database.query("SELECT * FROM nowhere")


def test_a_value_is_never_a_statement(database: ReadModelDatabase) -> None:
    words = "'; DROP TABLE notes; --"
    with database.transaction() as tables:
        tables.insert("notes", note(1, words))
    assert dict(database.query("SELECT * FROM notes WHERE words = ?", [words])[0]) == note(1, words)


# Positions.


def test_positions_never_go_back(database: ReadModelDatabase) -> None:
    for position, expected in ((5, 5), (3, 5), (5, 5), (6, 6)):
        with database.transaction() as tables:
            database.set_positions(tables, {"notes": position, "other": 2})
        assert position_of(database, "notes") == expected
    assert position_of(database, "other") == 2
    assert position_of(database, "unheard-of") == 0


def test_a_reset_is_of_the_named_only(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask(), presses("zhangsan", APPROVE))
        before = {table: house.rows(table) for table in TABLES}
        views = house.read_models
        with views.transaction() as tables:
            views.reset(tables, {p.name: p.schema for p in ALL if p.name == "todo"})
        assert {t: rows(views, t) for t in TABLES} == {**before, "todo": []}
        assert [position_of(views, table) for table in TABLES] == [
            0 if table == "todo" else 3 for table in TABLES
        ]


# Whose they are.


def test_read_models_are_kept_over_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask(), presses("zhangsan", APPROVE))
        house.catch_up()
        before = everything(house.read_models)
    with opened(tmp_path) as house:
        assert everything(house.read_models) == before
        assert house.runner.position == 3


def test_read_models_of_another_store_are_dropped_and_begin_again(tmp_path: Path) -> None:
    """Such as one that was restored: its feed has another name."""
    (tmp_path / "other").mkdir()
    with opened(tmp_path) as house:
        house.do(ask(), presses("zhangsan", APPROVE))
        house.catch_up()
    with (
        opened(tmp_path / "other") as house,
        closing(open_read_models(tmp_path / "views.db", store="another")) as views,
    ):
        assert [rows(views, table) for table in TABLES] == [[]] * len(TABLES)
        house.do(ask(obj_id="1_1"))
        ProjectionRunner(house.store, views).catch_up()
        assert [row["reply_id"] for row in rows(views, "approvals")] == ["1_1"]
    with closing(open_read_models(tmp_path / "views.db", store="another")) as views:
        assert len(rows(views, "approvals")) == 1


def test_read_models_with_other_tables_are_dropped_and_begin_again(tmp_path: Path) -> None:
    path = tmp_path / "views.db"
    with (
        closing(ReadModelDatabase(path, "feed", {"notes": NOTES})) as database,
        database.transaction() as tables,
    ):
        tables.insert("notes", note(1))
        database.set_positions(tables, {"notes": 7})
    grown = NOTES.replace("mood TEXT", "mood TEXT, seen BIGINT")
    with closing(ReadModelDatabase(path, "feed", {"notes": grown})) as database:
        assert rows(database, "notes") == []
        assert position_of(database, "notes") == 0
        with database.transaction() as tables:
            tables.insert("notes", {**note(1), "seen": 2})
        assert rows(database, "notes") == [{**note(1), "seen": 2}]


def test_with_another_projection_all_begin_again_together(tmp_path: Path) -> None:
    """They are read from one position; one that lags would hold up all the others."""
    path = tmp_path / "views.db"
    with (
        closing(ReadModelDatabase(path, "feed", {"notes": NOTES})) as database,
        database.transaction() as tables,
    ):
        tables.insert("notes", note(1))
        database.set_positions(tables, {"notes": 7})
    more = {"notes": NOTES, "others": NOTES.replace("notes", "others")}
    with closing(ReadModelDatabase(path, "feed", more)) as database:
        assert rows(database, "notes") == rows(database, "others") == []
        assert [position_of(database, name) for name in more] == [0, 0]


def test_two_that_open_them_at_once_find_the_same(tmp_path: Path) -> None:
    path = tmp_path / "views.db"
    with (
        closing(ReadModelDatabase(path, "feed", {"notes": NOTES})) as one,
        closing(ReadModelDatabase(path, "feed", {"notes": NOTES})) as two,
    ):
        with one.transaction() as tables:
            tables.insert("notes", note(1))
        assert rows(two, "notes") == [note(1)]
