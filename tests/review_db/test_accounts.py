"""Who may log in, for how long, and how often they may fail."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from apu.errors import InputError, StoreError
from review_db.accounts import Accounts, Limits, LoginError, Role

HERE, THERE = "192.0.2.1", "198.51.100.7"
GOOD, OTHER = "correct horse battery", "staple of the horse"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def accounts(workspace) -> Accounts:
    accounts = Accounts(workspace.database, hasher=QUICK)
    accounts.add("ada", GOOD, role=Role.ADMIN)
    accounts.add("ben", OTHER)
    accounts.add("eve", OTHER, role=Role.VIEWER)
    return accounts


def fail(accounts: Accounts, name: str, address: str = HERE, *, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(LoginError, match="name or password is wrong"):
            accounts.log_in(name, "not the password", address=address)


def test_a_login_opens_a_session_that_a_logout_ends(accounts) -> None:
    token, other = (accounts.log_in("ada", GOOD, address=HERE) for _ in range(2))
    session = accounts.session(token)
    assert (session.name, session.role) == ("ada", Role.ADMIN)
    assert accounts.session(token + "x") is None
    assert accounts.session("") is None
    accounts.log_out(token)
    assert accounts.session(token) is None
    assert accounts.session(other).name == "ada"


def test_the_database_holds_neither_passwords_nor_tokens(accounts, workspace) -> None:
    token = accounts.log_in("ada", GOOD, address=HERE)
    fail(accounts, "a password in the field of the name")
    stored = b"".join(path.read_bytes() for path in workspace.path.glob("review.db*"))
    for secret in (GOOD, OTHER, token, "a password in the field", "not the password"):
        assert secret.encode() not in stored
    assert b"$argon2id$" in stored


def test_sessions_end_by_themselves_and_with_every_change_of_the_account(accounts, workspace) -> None:
    short = Accounts(workspace.database, limits=Limits(session=timedelta(0)), hasher=QUICK)
    assert short.session(short.log_in("ada", GOOD, address=HERE)) is None
    for change in (
        lambda: accounts.set_role("ben", Role.VIEWER),
        lambda: accounts.set_password("ben", GOOD),
        lambda: accounts.remove("ben"),
    ):
        password = GOOD if accounts.list()[1].role is Role.VIEWER else OTHER
        token = _log_in_with_either(accounts, "ben", password)
        assert accounts.session(token).name == "ben"
        change()
        assert accounts.session(token) is None
    fail(accounts, "ben")
    assert [account.name for account in accounts.list()] == ["ada", "eve"]


def _log_in_with_either(accounts: Accounts, name: str, first: str) -> str:
    try:
        return accounts.log_in(name, first, address=HERE)
    except LoginError:
        return accounts.log_in(name, OTHER if first == GOOD else GOOD, address=HERE)


def test_too_many_failures_must_wait_even_with_the_right_password(accounts) -> None:
    fail(accounts, "ada", times=5)
    with pytest.raises(LoginError, match="wait 15 minutes"):
        accounts.log_in("ada", GOOD, address=HERE)
    assert accounts.log_in("ada", GOOD, address=THERE)  # a stranger does not lock her out elsewhere
    assert accounts.log_in("ben", OTHER, address=HERE)


def test_one_address_may_not_try_many_names(accounts) -> None:
    for number in range(20):
        fail(accounts, f"name {number}")
    with pytest.raises(LoginError, match="too many failed logins"):
        accounts.log_in("ben", OTHER, address=HERE)
    assert accounts.log_in("ben", OTHER, address=THERE)


def test_a_flood_gets_no_more_guesses_than_the_limit(accounts) -> None:
    """All have passed the first look at the failures before any of them has failed."""
    barrier = threading.Barrier(12)

    def guess(number: int) -> str:
        barrier.wait()
        try:
            return accounts.log_in("ada", GOOD if number == 11 else f"a guess {number}", address=HERE) and "in"
        except LoginError as error:
            return str(error)

    with ThreadPoolExecutor(12) as pool:
        said = Counter(pool.map(guess, range(12)))
    assert said["name or password is wrong"] <= 5
    assert said["in"] + said["name or password is wrong"] <= 6
    assert sum(said.values()) == 12


def test_one_network_is_one_address(accounts) -> None:
    for number in range(5):
        fail(accounts, "ada", f"2001:db8::{number:x}")
    with pytest.raises(LoginError, match="too many failed logins"):
        accounts.log_in("ada", GOOD, address="2001:db8::ffff%eth0")
    assert accounts.log_in("ada", GOOD, address="2001:db8:0:1::1")


def test_failures_are_forgotten_and_swept_away(accounts, workspace) -> None:
    forgetful = Accounts(workspace.database, limits=Limits(window=timedelta(0)), hasher=QUICK)
    fail(forgetful, "ada", times=10)
    assert forgetful.log_in("ada", GOOD, address=HERE)
    with workspace.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM login_failures").fetchone()[0] == 0


def test_a_known_name_and_an_unknown_one_fail_alike(accounts) -> None:
    messages = set()
    for name in ("ada", "nobody", "", "a" * 10_000, "'; DROP TABLE accounts; --"):
        with pytest.raises(LoginError) as refused:
            accounts.log_in(name, "not the password", address=HERE)
        messages.add(str(refused.value))
    assert len(messages) == 1
    assert len(accounts.list()) == 3


@pytest.mark.parametrize(
    ("name", "password"),
    [("", GOOD), (" ada", GOOD), ("a\nb", GOOD), ("a" * 61, GOOD), ("zoe", "short"), ("zoe", "x" * 1001),
     ("Zoe Zoellner", "zoe zoellner")],
)  # fmt: skip
def test_names_and_passwords_that_cannot_be_used_are_refused_without_repeating_them(accounts, name, password) -> None:
    with pytest.raises(InputError, match="must") as refused:
        accounts.add(name, password)
    assert password not in str(refused.value)
    assert len(accounts.list()) == 3


def test_an_account_is_made_once_and_only_existing_ones_change(accounts) -> None:
    for name in ("ada", "Ada"):
        with pytest.raises(StoreError, match=f"there is an account '{name}' already"):
            accounts.add(name, GOOD)
    for change in (accounts.remove, lambda name: accounts.set_role(name, Role.VIEWER)):
        with pytest.raises(StoreError, match="there is no account 'zoe'"):
            change("zoe")


def test_an_old_hash_grows_with_the_parameters_at_the_next_login(accounts, workspace) -> None:
    stronger = Accounts(workspace.database, hasher=PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    stronger.log_in("ada", GOOD, address=HERE)
    with workspace.database.read() as connection:
        (stored,) = connection.execute("SELECT password_hash FROM accounts WHERE name = 'ada'").fetchone()
    assert "m=16,t=2" in stored
    assert stronger.log_in("ada", GOOD, address=HERE)
