"""Accounts for a served workspace: who may look, who may change, and the sessions that they have open.

Passwords are kept as argon2id hashes, sessions as hashes of random tokens that only the browser has. Failed logins are
counted in the database, so that neither a restart nor a second server forgets them.
"""

import hashlib
import ipaddress
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from apu.errors import InputError, StoreError
from review_db.database import Database, insert, now, sqlite3


class Role(StrEnum):
    """What an account may do: a viewer looks, a curator also changes, an admin also settles what others left."""

    ADMIN = "admin"
    CURATOR = "curator"
    VIEWER = "viewer"

    @property
    def may_write(self) -> bool:
        """Whether the role may change anything."""
        return self is not Role.VIEWER


@dataclass(frozen=True, kw_only=True)
class Account:
    """Somebody who may log in; `name` is the curator's name in the history."""

    name: str
    role: Role
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long sessions last and how many failed logins are borne.

    Attributes:
        session: from login to logout, whatever happens; a working day.
        window: failures older than this are forgotten.
        per_name_and_address: failures after which one address must wait with one name.
        per_address: the same for all names together.
        per_name: the same for all addresses together: wide, so that a stranger cannot lock a curator out at once.
    """

    session: timedelta = timedelta(hours=12)
    window: timedelta = timedelta(minutes=15)
    per_name_and_address: int = 5
    per_address: int = 20
    per_name: int = 100


class LoginError(StoreError):
    """A login that is refused; its sentence says nothing about which names exist."""


NAME_LENGTH = 60
PASSWORD_LENGTH = (10, 1000)
"""Shortest and longest, in characters: short ones are guessed, endless ones keep the server busy."""

_WRONG = "name or password is wrong"
_HASHING = threading.BoundedSemaphore(2)
"""Each hash takes 64 MiB while it is computed."""

_PATIENCE_S = 5.0


class Accounts:
    """The accounts of one workspace (`Workspace.database`).

    Args:
        database: of the workspace. limits: of sessions and failures. hasher: argon2id at its authors' parameters.
    """

    def __init__(
        self, database: Database, *, limits: Limits | None = None, hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._limits = limits or Limits()
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hash(secrets.token_urlsafe())  # so that unknown names take as long as known ones

    def list(self) -> tuple[Account, ...]:
        """All accounts by name."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT * FROM accounts ORDER BY name").fetchall()
        return tuple(map(_account, rows))

    def add(self, name: str, password: str, *, role: Role = Role.CURATOR) -> None:
        """Make an account.

        Raises:
            InputError: the name or the password cannot be used.
            StoreError: there is an account of that name.
        """
        row = {"name": name, "role": role.value, "password_hash": self._checked(name, password), "created_at": now()}
        with self._database.write() as connection:
            if _find(connection, name):
                raise StoreError(f"there is an account {name!r} already; give it another password or role instead")
            insert(connection, "accounts", row)

    def remove(self, name: str) -> None:
        """Remove an account and end its sessions; what its owner did stays under their name.

        Raises:
            StoreError: there is no such account.
        """
        self._change(name, "DELETE FROM accounts WHERE id = :id")

    def set_password(self, name: str, password: str) -> None:
        """Give a new password and end the account's sessions; errors as in `add` and `remove`."""
        self._change(
            name,
            "UPDATE accounts SET password_hash = :password WHERE id = :id",
            password=self._checked(name, password),
        )

    def set_role(self, name: str, role: Role) -> None:
        """Give another role and end the account's sessions; errors as in `remove`."""
        self._change(name, "UPDATE accounts SET role = :role WHERE id = :id", role=role.value)

    def log_in(self, name: str, password: str, *, address: str) -> str:
        """Open a session; gives the token for the browser's cookie.

        Args:
            name: of the account. password: of the account. address: of the browser, for the limits.

        Raises:
            LoginError: name or password is wrong, or there were too many failures.
        """
        failure = {"name": _bucket(name), "address": _network(address)}
        with self._database.read() as connection:
            self._check_failures(connection, failure)
            row = _find(connection, name)
        matches, hashed = self._matches(row["password_hash"] if row else self._nobody, password)
        with self._database.write() as connection:
            # Others may have failed meanwhile, or the account may have changed.
            self._check_failures(connection, failure)
            found = _find(connection, name)
            if matches and row and found and found["password_hash"] == row["password_hash"]:
                return self._open(connection, found["id"], hashed)
            insert(connection, "login_failures", failure | {"failed_at": now()})
            connection.execute("DELETE FROM login_failures WHERE failed_at <= ?", (self._since(),))
        raise LoginError(_WRONG)

    def session(self, token: str) -> Account | None:
        """Whose session a token is; None: nobody's, or over."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT a.* FROM sessions s JOIN accounts a ON a.id = s.account_id "
                "WHERE s.token_sha256 = ? AND s.expires_at > ?",
                (_digest(token), now()),
            ).fetchone()
        return _account(row) if row else None

    def log_out(self, token: str) -> None:
        """End a session."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM sessions WHERE token_sha256 = ?", (_digest(token),))

    def _open(self, connection: sqlite3.Connection, account: int, hashed: str | None) -> str:
        if hashed:  # the parameters have grown since the password was set
            connection.execute("UPDATE accounts SET password_hash = ? WHERE id = ?", (hashed, account))
        token = secrets.token_urlsafe(32)
        made = datetime.now(UTC)
        row = {"token_sha256": _digest(token), "account_id": account}
        row |= {"created_at": _text(made), "expires_at": _text(made + self._limits.session)}
        connection.execute("DELETE FROM sessions WHERE expires_at <= ?", (_text(made),))
        insert(connection, "sessions", row)
        return token

    def _check_failures(self, connection: sqlite3.Connection, of: dict[str, str]) -> None:
        both, address, name = connection.execute(
            "SELECT count(*) FILTER (WHERE name = :name AND address = :address), "
            "count(*) FILTER (WHERE address = :address), count(*) FILTER (WHERE name = :name) "
            "FROM login_failures WHERE failed_at > :since",
            of | {"since": self._since()},
        ).fetchone()
        limits = self._limits
        if both >= limits.per_name_and_address or address >= limits.per_address or name >= limits.per_name:
            minutes = round(limits.window.total_seconds() / 60)
            raise LoginError(f"there were too many failed logins; wait {minutes} minutes and try again")

    def _since(self) -> str:
        return _text(datetime.now(UTC) - self._limits.window)

    def _change(self, name: str, sql: str, **values: Any) -> None:
        with self._database.write() as connection:
            row = _find(connection, name)
            if row is None:
                raise StoreError(f"there is no account {name!r}")
            connection.execute("DELETE FROM sessions WHERE account_id = ?", (row["id"],))
            connection.execute(sql, {"id": row["id"], **values})

    def _checked(self, name: str, password: str) -> str:
        """The hash of a password that may be used."""
        shortest, longest = PASSWORD_LENGTH
        if not name.strip() or name != name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
            raise InputError(f"an account's name must have 1 to {NAME_LENGTH} letters and no space around them")
        if not shortest <= len(password) <= longest or password.casefold() == name.casefold():
            raise InputError(f"a password must have {shortest} to {longest} characters and not be the name")
        return self._hash(password)

    def _hash(self, password: str) -> str:
        with _a_turn():
            return self._hasher.hash(password.encode(errors="replace"))

    def _matches(self, stored: str, password: str) -> tuple[bool, str | None]:
        """Whether it is the password, and its new hash where the stored one is of weaker parameters."""
        if len(password) > PASSWORD_LENGTH[1]:
            return False, None
        try:
            with _a_turn():
                self._hasher.verify(stored, password.encode(errors="replace"))
        except (VerificationError, InvalidHashError):
            return False, None
        return True, self._hash(password) if self._hasher.check_needs_rehash(stored) else None


@contextmanager
def _a_turn() -> Iterator[None]:
    """Wait for others who log in, but not for a flood of them."""
    if not _HASHING.acquire(timeout=_PATIENCE_S):
        raise LoginError("too many people are logging in; try again in a minute")
    try:
        yield
    finally:
        _HASHING.release()


def _find(connection: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    if not name.isprintable():  # no account has such a name, and SQLite cannot take all of them
        return None
    return connection.execute("SELECT * FROM accounts WHERE name = ?", (name,)).fetchone()


def _account(row: sqlite3.Row) -> Account:
    return Account(name=row["name"], role=Role(row["role"]), created_at=row["created_at"])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _bucket(name: str) -> str:
    """Too short to find a name by: people type their password into the wrong field."""
    return hashlib.sha256(name.casefold().encode(errors="replace")).hexdigest()[:8]


def _network(address: str) -> str:
    """An IPv6 address stands for its network of 2^64, which one person has."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    except ValueError:
        return address


def _text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")
