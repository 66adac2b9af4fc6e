"""Two workspaces into one: what was done on another machine joins what was done here, and nothing of it is lost.

Photographs are the same by content, pairs by photograph and observation, curators by name, entries of a history by
their author, time and kind. The rule for a pair that both sides worked on since their last common entry:

- what the other side did follows what was done here, where they touch different contacts, or one only wrote a note;
- people's work stands before the program's (answers taken, sides corrected), on whichever side it is;
- otherwise this side stands, and the other's version is kept whole as a conflict, as is its decision, until somebody
  takes or leaves it; where both came to the same sheet, the other's entries are kept and there is nothing to settle.

Merging again changes nothing. Accounts, sessions, jobs, runs and claims belong to a machine and stay there.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from apu.errors import StoreError
from apu.types import Decision, Verdict
from review_db.database import insert, now, sqlite3
from review_db.edits import (
    PROGRAM,
    Add,
    Answers,
    Decide,
    Entry,
    SetNote,
    Sheet,
    TakeAnswer,
    TakeVersion,
    Undo,
    born,
    from_json,
    rebuild,
    to_json,
)
from review_db.files import Folder
from review_db.forget import forget, without_image
from review_db.records import EditRecord
from review_db.sheets import as_history, curator_id, load_answers, load_history, load_sheet, refresh, store_sheet
from review_db.studies import merge_studies
from review_db.workspace import NEXT_PAIR, Workspace

_DECISION = TypeAdapter(Decision)
_BATCH = 50
_NO_CONTACT = 0
"""Number that no contact has: a change of one that is not here can be read, and not carried out on another."""


@dataclass(frozen=True, kw_only=True)
class MergeConflict:
    """Work of the other side that waits for somebody to take or leave it; `text` is one sentence."""

    pair: int
    image: str
    curator: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What came over: numbers of rows, and conflicts.

    Attributes:
        entries: of histories. ratings: of studies, which come over with them.
        forgotten: photographs that one side had taken down and that are gone on this side now.
    """

    images: int
    pairs: int
    answers: int
    fits: int
    entries: int
    reviews: int
    drafts: int
    views: int
    ratings: int
    forgotten: int
    conflicts: tuple[MergeConflict, ...]

    @property
    def changed(self) -> bool:
        """Whether anything came over."""
        return self != _NOTHING


_NOTHING = Merged(
    images=0, pairs=0, answers=0, fits=0, entries=0, reviews=0, drafts=0, views=0, ratings=0, forgotten=0, conflicts=()
)


def merge(ours: Workspace, other: Path) -> Merged:
    """Bring what was done in another workspace into this one; the other is only read.

    Every pair comes over whole or not at all; an interrupted merge is completed by repeating it.

    Raises:
        StoreError: the other is no workspace or this one, or a file of it is missing or damaged.
    """
    with Workspace.open(Path(other)) as theirs:
        if theirs.path.resolve() == ours.path.resolve():
            raise StoreError(f"{other} is this workspace itself; name the other one")
        with theirs.database.read() as connection:  # one moment of it
            return _Merge(ours, theirs, connection).run()


class _Merge:
    def __init__(self, ours: Workspace, theirs: Workspace, connection: sqlite3.Connection) -> None:
        self.ours, self.theirs, self.other = ours, theirs, connection
        self.counts = dict.fromkeys(
            ("images", "pairs", "answers", "fits", "entries", "reviews", "drafts", "views", "ratings", "forgotten"), 0
        )
        self.conflicts: list[MergeConflict] = []
        self.numbers: dict[int, int] = {}  # of pairs, theirs to ours

    def run(self) -> Merged:
        self.forget()
        for rows in _batches(self.other, "SELECT * FROM images"):
            with self.ours.database.write() as connection:
                for row in rows:
                    self.image(connection, row)
        pairs = "SELECT p.*, i.sha256, i.name FROM pairs p JOIN images i ON i.id = p.image_id"
        for rows in _batches(self.other, pairs, "p.id"):
            with self.ours.database.write() as connection:
                for row in rows:
                    self.pair(connection, row)
        with self.ours.database.write() as connection:
            self.views(connection)
            self.counts["ratings"] += merge_studies(connection, self.other, self.numbers)
        return Merged(**self.counts, conflicts=tuple(self.conflicts))

    def forget(self) -> None:
        """A takedown holds on both sides."""
        for sha256, time in self.other.execute("SELECT sha256, forgotten_at FROM forgotten").fetchall():
            with self.ours.database.write() as connection:
                known = connection.execute("SELECT 1 FROM forgotten WHERE sha256 = ?", (sha256,)).fetchone()
                here = connection.execute("SELECT 1 FROM images WHERE sha256 = ?", (sha256,)).fetchone()
                if not known and not here:
                    last = connection.execute(NEXT_PAIR).fetchone()[0] - 1
                    insert(connection, "forgotten", {"sha256": sha256, "forgotten_at": time, "last_pair": last})
            if here:
                forget(self.ours, sha256)
            self.counts["forgotten"] += not known

    def copy(self, connection: sqlite3.Connection, folder: Folder, name: str) -> bool:
        """Bring a file over before a row names it, from the side that has it; whether it had been lost here."""
        if self.ours.files.path(folder, name).exists():
            return False
        lost = "SELECT 1 FROM lost_files WHERE file = ?"
        if self.other.execute(lost, (name,)).fetchone() and not self.theirs.files.path(folder, name).exists():
            connection.execute("INSERT OR IGNORE INTO lost_files (file, found_at) VALUES (?, ?)", (name, now()))
            return False
        self.ours.files.put(folder, self.theirs.files.get(folder, name), Path(name).suffix)
        return connection.execute("DELETE FROM lost_files WHERE file = ?", (name,)).rowcount > 0

    def image(self, connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        if connection.execute("SELECT 1 FROM forgotten WHERE sha256 = ?", (row["sha256"],)).fetchone():
            return
        if Path(row["name"]).name != row["name"]:
            raise StoreError(f"{self.theirs.path} names a photograph {row['name']!r:.100}, which is no file name")
        known = connection.execute("SELECT id, suffix FROM images WHERE sha256 = ?", (row["sha256"],)).fetchone()
        if known is None or known["suffix"] == row["suffix"]:
            self.copy(connection, "images", row["sha256"] + row["suffix"])
        self.counts["images"] += known is None
        image = known["id"] if known else insert(connection, "images", _without(row, "id"))
        for each in self.other.execute("SELECT * FROM inputs WHERE image_id = ?", (row["id"],)).fetchall():
            values = _without(each, "id") | {"image_id": image, "file": self.without_forgotten(connection, each)}
            if not _find(connection, "inputs", values, ("image_id", "kind", "file")):
                if values["file"] == each["file"]:
                    self.copy(connection, "artefacts", each["file"])
                insert(connection, "inputs", values)

    def without_forgotten(self, connection: sqlite3.Connection, row: sqlite3.Row) -> str:
        """The file of a detector's input; of one for many images, that without those that were taken down here."""
        if row["kind"] != "coco" or not self.theirs.files.path("artefacts", row["file"]).exists():
            return row["file"]
        gone = [sha256 for (sha256,) in connection.execute("SELECT sha256 FROM forgotten")]
        wanted = "SELECT name FROM images WHERE sha256 IN (SELECT value FROM json_each(?)) ORDER BY id"
        names = [name for (name,) in self.other.execute(wanted, (json.dumps(gone),))]
        if not names:
            return row["file"]
        data = rest = self.theirs.files.get("artefacts", row["file"])
        for name in names:
            rest = without_image(rest, name)
        return row["file"] if rest is data else self.ours.files.put("artefacts", rest, Path(row["file"]).suffix)

    def pair(self, connection: sqlite3.Connection, row: sqlite3.Row) -> None:
        image = connection.execute("SELECT id FROM images WHERE sha256 = ?", (row["sha256"],)).fetchone()
        if image is None:
            return  # forgotten here
        key = {"image_id": image["id"], "observation": row["observation"]}
        pair = _find(connection, "pairs", key, ("image_id", "observation"))
        self.copy(connection, "artefacts", row["observation"])
        if pair is None:
            same = {name: row[name] for name in ("source", "action", "simulated", "created_at", "updated_at")}
            number = connection.execute(NEXT_PAIR).fetchone()[0]
            pair = insert(connection, "pairs", {"id": number} | key | same)
            self.counts["pairs"] += 1
        self.numbers[row["id"]] = pair
        before = dict(self.counts), len(self.conflicts)
        _Pair(self, connection, pair, row).run()
        if before == (self.counts, len(self.conflicts)):
            return
        time = row["updated_at"] if load_sheet(connection, pair).revision <= row["revision"] else now()
        refresh(connection, pair, time)

    def views(self, connection: sqlite3.Connection) -> None:
        """A view of the same owner and name that shows something else comes under another name."""
        rows = self.other.execute("SELECT v.*, u.name AS owner FROM views v JOIN curators u ON u.id = v.owner_id")
        for row in rows.fetchall():
            values = _without(row, "id", "owner") | {"owner_id": curator_id(connection, row["owner"])}
            for name in (row["name"], f"{row['name']} (other machine)"):
                values["name"] = name
                if _find(connection, "views", values, ("owner_id", "name", "filter", "sort", "seed")):
                    break
                if not _find(connection, "views", values, ("owner_id", "name")):
                    insert(connection, "views", values)
                    self.counts["views"] += 1
                    break


@dataclass(frozen=True, kw_only=True)
class _Joined:
    """A history to be: the entries that follow this side's, and how the other's numbers are called in it."""

    new: tuple[EditRecord, ...]
    revisions: Mapping[int, int]
    contacts: Mapping[int, int]


class _Pair:
    """One pair of both sides; its rows are in this side's database already."""

    def __init__(self, merge: _Merge, connection: sqlite3.Connection, pair: int, row: sqlite3.Row) -> None:
        self.merge, self.connection, self.pair, self.row = merge, connection, pair, row
        self.other = merge.other
        self.answers: dict[int, int] = {}
        self.fits: dict[int, int] = {}

    def run(self) -> None:
        self.take_answers()
        self.here = list(load_history(self.connection, self.pair))
        self.there = list(load_history(self.other, self.row["id"]))
        self.stated: Answers = load_answers(self.connection, self.pair)
        self.stated_there: Answers = load_answers(self.other, self.row["id"])
        ours, theirs, aside = _identities(self.here), _identities(self.there), self.kept_aside()
        self.new = [entry for entry in self.there if _identity(entry) not in ours | aside]
        self.unseen = [entry for entry in self.here if _identity(entry) not in theirs]
        self.aside = theirs & aside - ours
        joined = self.join()
        history = as_history([*self.here, *joined.new])
        self.take_fits(joined, history)
        if joined.new:
            self.append(joined)
        elif self.new and any(_by_person(entry) for entry in self.new):
            self.keep_aside(joined)
        self.take_conflicts(joined)
        self.take_reviews()
        self.take_draft(joined)

    def kept_aside(self) -> set[tuple[str, str, str]]:
        """Entries that are known from a version that was kept as a conflict."""
        texts = self.connection.execute(
            "SELECT edit FROM conflicts WHERE pair_id = :pair AND kind = 'take_version' "
            "UNION SELECT edit FROM edits WHERE pair_id = :pair AND kind = 'take_version'",
            {"pair": self.pair},
        ).fetchall()
        return {
            (curator, time, edit["kind"]) for (text,) in texts for curator, time, edit in json.loads(text)["entries"]
        }

    # The history ----------------------------------------------------------------------------------------------------

    def join(self) -> _Joined:
        """What of the other's new entries follows this side's: all, or none."""
        none = self.translated([])
        if not self.new or self.aside:
            return none
        apart = not self.unseen or not _collide(
            self.touched(self.unseen, self.here, {}), self.touched(self.new, self.there, none.contacts)
        )
        programs_here = not any(map(_by_person, self.unseen)) and any(map(_by_person, self.new))
        if not apart and not programs_here:
            return none
        with contextlib.suppress(ValueError, KeyError):
            joined = self.translated(self.new)
            sheet = rebuild(as_history([*self.here, *joined.new]), self.stated)
            if apart or _same(sheet, rebuild(as_history(self.there), self.stated_there)):
                return joined
        return none

    def translated(self, entries: Sequence[EditRecord]) -> _Joined:
        """Entries of the other side with this side's numbers, as they follow its history; KeyError: one is not here."""
        ours = {_identity(entry): entry.revision for entry in self.here}
        numbers_here = dict(_numbers(self.here, self.stated))
        revisions: dict[int, int] = {}
        contacts: dict[int, int] = {}
        new: list[EditRecord] = []
        wanted = _identities(entries)
        next_id = 1 + sum(born(entry.edit, self.stated) for entry in self.here)
        for entry, (revision, first) in zip(self.there, _numbers(self.there, self.stated_there), strict=True):
            count = born(entry.edit, self.stated_there)
            if _identity(entry) in ours:
                revisions[revision] = ours[_identity(entry)]
                start = numbers_here[revisions[revision]]
            elif _identity(entry) in wanted:
                revisions[revision] = len(self.here) + len(new) + 1
                edit = self.edit(entry.edit, revisions, contacts)
                new.append(replace(entry, revision=revisions[revision], edit=edit))
                start, next_id = next_id, next_id + count
            else:
                continue
            contacts |= {first + i: start + i for i in range(count)}
        return _Joined(new=tuple(new), revisions=revisions, contacts=contacts)

    def edit(self, edit: Entry, revisions: Mapping[int, int], contacts: Mapping[int, int]) -> Entry:
        if isinstance(edit, Undo):
            return replace(edit, revision=revisions[edit.revision])
        if isinstance(edit, TakeAnswer):
            return replace(edit, answer=self.answers[edit.answer])
        number = getattr(edit, "contact", None)
        return edit if number is None else replace(edit, contact=contacts[number])

    def touched(
        self, entries: Sequence[EditRecord], history: Sequence[EditRecord], contacts: Mapping[int, int]
    ) -> set[Any]:
        """What entries change: the note, contacts by this side's number, added parts, or everything."""
        found: set[Any] = set()
        for entry in entries:
            edit = entry.edit
            while isinstance(edit, Undo):
                edit = history[edit.revision - 1].edit
            number = getattr(edit, "contact", None)
            if isinstance(edit, SetNote):
                found.add("note")
            elif number is not None:
                found.add(contacts.get(number, number if history is self.here else ("new", number)))
            else:
                found.add(edit.parts if isinstance(edit, Add) else _EVERYTHING)
        return found

    def append(self, joined: _Joined) -> None:
        """Store the other's entries after this side's, with their authors and times."""
        final = []
        for entry in joined.new:
            edit = entry.edit
            if isinstance(edit, Decide):
                edit = Decide(decision=self.take_decision(edit.decision, entry.revision))
            values = {"pair_id": self.pair, "revision": entry.revision, "kind": edit.kind}
            values |= {"edit": json.dumps(to_json(edit)), "made_at": entry.made_at}
            author = curator_id(self.connection, entry.curator) if entry.curator else None
            insert(self.connection, "edits", values | {"curator_id": author})
            final.append(replace(entry, edit=edit))
        store_sheet(self.connection, self.pair, rebuild(as_history([*self.here, *final]), self.stated))
        self.merge.counts["entries"] += len(final)

    def take_decision(self, decision: int, revision: int) -> int:
        row = self.decision_row(decision)
        values = _without(row, "id", "curator") | {"pair_id": self.pair, "revision": revision}
        values |= {"fit_id": self.fits.get(row["fit_id"]), "curator_id": curator_id(self.connection, row["curator"])}
        return insert(self.connection, "decisions", values)

    def decision_row(self, decision: int) -> sqlite3.Row:
        sql = "SELECT d.*, u.name AS curator FROM decisions d JOIN curators u ON u.id = d.curator_id WHERE d.id = ?"
        return self.other.execute(sql, (decision,)).fetchone()

    def keep_aside(self, joined: _Joined) -> None:
        """The other's version and its decision as conflicts of this side."""
        sheet = rebuild(as_history(self.there), self.stated_there)
        here = rebuild(as_history(self.here), self.stated)
        last = [entry for entry in self.new if _by_person(entry)][-1]
        news = [entry for entry in self.there if entry in self.new or _identity(entry) in self.aside]
        version = TakeVersion(
            contacts=sheet.contacts, swapped=sheet.swapped, note=sheet.note,
            entries=tuple((entry.curator, entry.made_at, to_json(entry.edit)) for entry in news),
        )  # fmt: skip
        if self.aside:  # the earlier version is part of this one
            self.connection.execute(
                "UPDATE conflicts SET settled_at = ?, applied = 0 "
                "WHERE pair_id = ? AND kind = 'take_version' AND settled_at IS NULL",
                (now(), self.pair),
            )
        authors = sorted({entry.curator for entry in self.new if _by_person(entry)})
        text = f"both sides changed its sheet; the version of {', '.join(authors)} is kept aside"
        text = "" if _same(sheet, here) else text
        self.conflict("take_version", json.dumps(to_json(version)), last.curator, last.made_at, text)
        decided = [
            entry for entry in self.new if isinstance(entry.edit, Decide) and entry.edit.decision == sheet.decision
        ]
        for entry in decided:
            row = self.decision_row(sheet.decision or 0)
            decision = Decision(
                verdict=Verdict(row["verdict"]), curator=row["curator"], fit_id=self.fits.get(row["fit_id"]),
                reason=row["reason"], note=row["note"],
            )  # fmt: skip
            text = f"{row['curator']}'s decision ({row['verdict']}) is kept aside: this side worked on it too"
            self.conflict("decision", _DECISION.dump_json(decision).decode(), row["curator"], entry.made_at, text)

    def conflict(self, kind: str, edit: str, curator: str, made_at: str, text: str) -> None:
        """Keep work of the other side; without `text` there is nothing to settle about it."""
        values = {"pair_id": self.pair, "kind": kind, "made_at": made_at}
        values |= {"curator_id": curator_id(self.connection, curator)}
        if _find(self.connection, "conflicts", values, tuple(values)):
            return
        values |= {"edit": edit, "based_on": len(self.here) - len(self.unseen), "found": len(self.here)}
        insert(self.connection, "conflicts", values | ({} if text else {"settled_at": now(), "applied": 0}))
        if text:
            self.report(curator, text)

    def report(self, curator: str, text: str) -> None:
        sentence = f"pair {self.pair} ({self.row['name']}): {text}"
        self.merge.conflicts.append(
            MergeConflict(pair=self.pair, image=self.row["name"], curator=curator, text=sentence)
        )

    # Facts ----------------------------------------------------------------------------------------------------------

    def take_answers(self) -> None:
        ours = {_content(row, "id", "pair_id"): row["id"] for row in self.rows("answers")}
        for row in self.rows("answers", there=True):
            number = ours.get(_content(row, "id", "pair_id"))
            if number is None:
                number = insert(self.connection, "answers", _without(row, "id") | {"pair_id": self.pair})
                self.merge.counts["answers"] += 1
            self.answers[row["id"]] = number

    def take_fits(self, joined: _Joined, history: Sequence[tuple[str, Entry]]) -> None:
        ours = {(row["file"], row["made_at"]): row["id"] for row in self.rows("fits")}
        for row in self.rows("fits", there=True):
            number = ours.get((row["file"], row["made_at"]))
            if number is None:
                author = curator_id(self.connection, row["author"]) if row["author"] else None
                values = _without(row, "id", "author") | {"pair_id": self.pair, "curator_id": author}
                number = insert(
                    self.connection, "fits", values | {"revision": self.revision(row["revision"], joined, history)}
                )
                self.merge.counts["fits"] += 1
            self.fits[row["id"]] = number
            self.merge.counts["fits"] += self.merge.copy(self.connection, "artefacts", row["file"])

    def revision(self, there: int, joined: _Joined, history: Sequence[tuple[str, Entry]]) -> int:
        """A revision of the joined history with the contacts that a fit used; else one with others than now stand."""
        if there in joined.revisions and joined.revisions[there] == there <= len(self.here) - len(self.unseen):
            return there
        used = rebuild(as_history(self.there[:there]), self.stated_there).active
        sheets = [rebuild(history[:length], self.stated).active for length in range(len(history) + 1)]
        same = [number for number, active in enumerate(sheets) if active == used]
        other = [number for number, active in enumerate(sheets) if active != sheets[-1]]
        return same[-1] if same else (other or [0])[-1]

    def take_conflicts(self, joined: _Joined) -> None:
        ours = _identities(self.here)
        for row in self.rows("conflicts", there=True):
            if _refused_identities(row) <= ours:
                continue  # what they keep aside is what this side did
            values = _without(row, "id", "author") | {"pair_id": self.pair}
            values |= {"curator_id": curator_id(self.connection, row["author"])}
            found = _find(self.connection, "conflicts", values, ("pair_id", "kind", "curator_id", "made_at"))
            if found is None:
                edit = self.refused(row["kind"], row["edit"], joined)
                insert(self.connection, "conflicts", values | {"edit": edit})
                if row["settled_at"] is None:
                    self.report(row["author"], f"a change ({row['kind']}) that the other side keeps aside")
            elif row["settled_at"]:
                self.connection.execute(
                    "UPDATE conflicts SET settled_at = ?, applied = ? WHERE id = ? AND settled_at IS NULL",
                    (row["settled_at"], row["applied"], found),
                )

    def refused(self, kind: str, text: str, joined: _Joined) -> str:
        """A refused change with this side's numbers."""
        values = json.loads(text)
        if kind == "decision":
            return json.dumps(values | {"fit_id": self.fits.get(values["fit_id"])})
        return json.dumps(self.here_called(values, joined))

    def here_called(self, values: dict[str, Any], joined: _Joined) -> dict[str, Any]:
        edit = from_json(values)
        if isinstance(edit, TakeAnswer):
            return to_json(replace(edit, answer=self.answers[edit.answer]))
        number = getattr(edit, "contact", None)
        if number is None or isinstance(edit, Undo):
            return values
        return {**values, "contact": joined.contacts.get(number, _NO_CONTACT)}

    def take_reviews(self) -> None:
        for row in self.rows("reviews", there=True):
            if row["verdict"] is None:
                continue
            values = _without(row, "id", "author") | {"pair_id": self.pair}
            values |= {"curator_id": curator_id(self.connection, row["author"])}
            found = _find(self.connection, "reviews", values, ("pair_id", "curator_id"))
            judged = (
                found and self.connection.execute("SELECT judged_at FROM reviews WHERE id = ?", (found,)).fetchone()[0]
            )
            if judged == row["judged_at"]:
                continue
            if judged:
                self.report(row["author"], f"{row['author']} reviewed it on both sides; this side's review stands")
                continue
            self.connection.execute("DELETE FROM reviews WHERE id = ?", (found,))
            insert(self.connection, "reviews", values)
            self.merge.counts["reviews"] += 1

    def take_draft(self, joined: _Joined) -> None:
        for row in self.rows("drafts", there=True):
            edits = [self.here_called(edit, joined) for edit in json.loads(row["edits"])]
            values = _without(row, "author") | {"pair_id": self.pair, "edits": json.dumps(edits)}
            values |= {"curator_id": curator_id(self.connection, row["author"])}
            values |= {"revision": joined.revisions.get(row["revision"], 0)}
            standing = self.connection.execute(
                "SELECT saved_at FROM drafts WHERE pair_id = :pair_id AND curator_id = :curator_id", values
            ).fetchone()
            if standing is None or standing["saved_at"] < row["saved_at"]:
                insert(self.connection, "drafts", values, replace=True)
                self.merge.counts["drafts"] += 1

    def rows(self, table: str, *, there: bool = False) -> list[sqlite3.Row]:
        """A table's rows of the pair, with the `author`'s name where it has a curator."""
        connection, pair = (self.other, self.row["id"]) if there else (self.connection, self.pair)
        if table == "answers":
            return connection.execute("SELECT * FROM answers WHERE pair_id = ? ORDER BY id", (pair,)).fetchall()
        return connection.execute(
            "SELECT t.*, coalesce(u.name, '') AS author "  # noqa: S608 - this file's own words
            f"FROM {table} t LEFT JOIN curators u ON u.id = t.curator_id WHERE t.pair_id = ?",
            (pair,),
        ).fetchall()


_EVERYTHING = "*"


def _collide(ours: set[Any], theirs: set[Any]) -> bool:
    """Whether two sides touched the same; a note is beside everything else."""
    sheets = ours - {"note"}, theirs - {"note"}
    whole = any(_EVERYTHING in side for side in sheets) and all(sheets)
    return whole or bool(ours & theirs)


def _same(a: Sheet, b: Sheet) -> bool:
    """Whether two sheets say the same, whatever the numbers of their contacts."""
    first, second = ([(line.contact, line.dropped) for line in sheet.contacts] for sheet in (a, b))
    return sorted(map(repr, first)) == sorted(map(repr, second)) and (a.note, a.swapped) == (b.note, b.swapped)


def _by_person(entry: EditRecord) -> bool:
    return entry.curator not in ("", PROGRAM)


def _identity(entry: EditRecord) -> tuple[str, str, str]:
    return entry.curator, entry.made_at, entry.edit.kind


def _refused_identities(row: sqlite3.Row) -> set[tuple[str, str, str]]:
    """The entries of another side's history that a conflict keeps, else the change itself."""
    if row["kind"] == "take_version":
        return {(curator, time, edit["kind"]) for curator, time, edit in json.loads(row["edit"])["entries"]}
    return {(row["author"], row["made_at"], "decide" if row["kind"] == "decision" else row["kind"])}


def _identities(history: Sequence[EditRecord]) -> set[tuple[str, str, str]]:
    return set(map(_identity, history))


def _numbers(history: Sequence[EditRecord], answers: Answers) -> Iterator[tuple[int, int]]:
    """(revision, number of the first contact that it gave out or would have) of every entry."""
    first = 1
    for entry in history:
        yield entry.revision, first
        first += born(entry.edit, answers)


def _without(row: sqlite3.Row, *names: str) -> dict[str, Any]:
    return {name: value for name, value in dict(row).items() if name not in names}


def _content(row: sqlite3.Row, *names: str) -> tuple[Any, ...]:
    return tuple(_without(row, *names).values())


def _find(connection: sqlite3.Connection, table: str, values: Mapping[str, Any], key: tuple[str, ...]) -> int | None:
    condition = " AND ".join(f"{name} = :{name}" for name in key)
    row = connection.execute(f"SELECT id FROM {table} WHERE {condition}", values).fetchone()  # noqa: S608
    return row["id"] if row else None


def _batches(connection: sqlite3.Connection, sql: str, key: str = "id") -> Iterator[list[sqlite3.Row]]:
    last = -1
    while rows := connection.execute(f"{sql} WHERE {key} > ? ORDER BY {key} LIMIT ?", (last, _BATCH)).fetchall():
        last = rows[-1]["id"]
        yield rows
