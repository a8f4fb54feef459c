"""
Secrets and personal data: in no error, no repr, no log.
"""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr, ValidationError

from store import NewProduct, NewUser, Queries, Settings, Store, UserUpdate
from store._async.queries import queries as own_queries
from store.errors import Conflict, InvalidCredentials, InvalidInput, NotFound, RowMismatch, SettingsError, StoreError
from tests.databases import Connection
from tests.samples import HASH, product, settings, user
from tests.verbs import make_world

CANARY = "canary7f3a"
EMAIL = f"{CANARY}@example.org"
HASH_CANARY = f"$argon2id${CANARY}" + "x" * 30

LEAKY = """
-- name: check_refused(secret)!
-- Have a CHECK refuse the row.
INSERT INTO store.users (username, email, password_hash) VALUES ('-', :secret::text, :secret::text);

-- name: fk_refused(secret)!
-- Have a foreign key refuse the row.
INSERT INTO store.carts (user_id, currency) SELECT 4711, left(upper(:secret::text), 3);

-- name: not_a_number(secret)$
-- Have a cast refuse the value.
SELECT :secret::text::bigint;

-- name: not_null_refused(secret)!
-- Have NOT NULL refuse the row.
INSERT INTO store.users (username, email) VALUES ('ada', :secret::text);

-- name: unfit(secret)
-- Return what no DTO takes.
-- row: NewProduct
SELECT :secret::text AS sku, :secret::text AS price;
"""


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    """
    A store whose user and guest are canaries.
    """
    with Store.open(settings(dsn)) as opened:
        opened.users.create(user(CANARY, password_hash=SecretStr(HASH_CANARY)))
        yield opened


@pytest.fixture
def leaky(tmp_path: Path) -> Queries:
    """
    Queries that PostgreSQL refuses with the value in its message.
    """
    (tmp_path / "leaky.sql").write_text(LEAKY)
    return Queries.load(tmp_path, rows={"NewProduct": NewProduct})


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """
    Yield an error and all it was raised from or during.
    """
    seen: set[int] = set()
    todo = [error]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__]


def everything_said(error: BaseException) -> str:
    """
    Return all that a log, a debugger or an error tracker would show of an error.
    """
    said = ["".join(traceback.format_exception(error))]
    for one in chain(error):
        said += [str(one), repr(one), repr(one.args), repr(vars(one)), repr(getattr(one, "__notes__", ""))]
        if isinstance(one, psycopg.Error):
            said += [str(one.diag.message_detail), str(one.diag.message_primary), str(one.diag.context)]
        if isinstance(one, UnicodeError):
            said.append(repr(getattr(one, "object", "")))
    return "\n".join(said)


def test_the_walk_sees_what_it_looks_for() -> None:
    try:
        try:
            raise ValueError(CANARY)
        except ValueError:
            raise KeyError from None
    except KeyError as error:
        assert CANARY in everything_said(error)


def failures(shop: Store, leaky: Queries) -> list[tuple[str, Callable[[], Any]]]:
    """
    Return calls that fail over a canary, one for each way the driver or PostgreSQL would quote it.
    """
    other = shop.users.create(user("other"))
    unknown: Any = {"username": CANARY, "email": EMAIL, "password_hash": HASH_CANARY, "x": CANARY}

    def run(name: str, secret: str = CANARY) -> Callable[[], Any]:
        def call() -> None:
            with shop.session() as session:
                getattr(leaky.leaky, name)(session, secret=secret)

        return call

    return [
        ("unique username", lambda: shop.users.create(user(CANARY.upper(), email="x@example.org"))),
        ("unique email", lambda: shop.users.create(user("free", email=EMAIL))),
        ("unique in update", lambda: shop.users.update(other.id, UserUpdate(email=EMAIL))),
        ("register", lambda: shop.users.register("free", EMAIL, f"{CANARY}-password")),
        ("short password", lambda: shop.users.register("free", "free@example.org", CANARY[:7])),
        ("bad hash", lambda: shop.users.set_password(other.id, CANARY)),
        ("login", lambda: shop.users.authenticate(CANARY, CANARY)),
        ("unknown login", lambda: shop.users.authenticate(f"{CANARY}2", CANARY)),
        ("malformed email", lambda: shop.users.find_by_email(f"{CANARY}@")),
        ("wrong type", lambda: shop.users.get(CANARY)),  # type: ignore[arg-type]
        ("unknown field", lambda: shop.users.create(unknown)),
        ("nul", lambda: shop.catalog.search(f"{CANARY}\x00")),
        ("surrogate", lambda: shop.catalog.search(f"{CANARY}\ud800")),
        ("nul past the door", run("not_a_number", f"{CANARY}\x00")),
        ("surrogate past the door", run("not_a_number", f"{CANARY}\ud800")),
        ("cursor", lambda: shop.users.list(cursor=CANARY)),
        ("check", run("check_refused")),
        ("foreign key", run("fk_refused")),
        ("not null", run("not_null_refused")),
        ("cast", run("not_a_number")),
        ("row", run("unfit")),
    ]


def test_canary_never_in_errors(shop: Store, leaky: Queries) -> None:
    """
    No error shows the value it is about: not in text, not in repr, not in what it was raised from or during.
    """
    leaks = []
    for name, call in failures(shop, leaky):
        with pytest.raises(StoreError) as caught:
            call()
        if CANARY in everything_said(caught.value).lower():
            leaks.append(f"{name}: {everything_said(caught.value)}")

    assert leaks == []


def test_errors_inside_a_transaction_are_as_clean(shop: Store) -> None:
    """
    The same through a unit of work, where the error passes two more frames and a ROLLBACK.
    """
    with pytest.raises(Conflict) as caught, shop.transaction() as tx, tx.transaction():
        tx.users.create(user("free", email=EMAIL))

    assert CANARY not in everything_said(caught.value)


def test_swallowed_by_a_caller_and_raised_again(shop: Store) -> None:
    """
    What a caller raises `from` our error carries no value either.
    """
    with pytest.raises(RuntimeError) as caught:
        try:
            shop.users.create(user("free", email=EMAIL))
        except StoreError as error:
            raise RuntimeError from error

    assert CANARY not in everything_said(caught.value)


def test_validation_error_hides_input() -> None:
    """
    Building a DTO from bad values shows field and rule, not the value.
    """
    for build in (
        lambda: NewUser(username=f"-{CANARY}", email=f"{CANARY}@", password_hash=SecretStr(CANARY)),
        lambda: NewUser.model_validate({"username": "ada", "email": EMAIL, "password_hash": HASH, CANARY.upper(): CANARY}),
        lambda: UserUpdate(email=f"{CANARY} x@example.org"),
    ):
        with pytest.raises(ValidationError) as caught:
            build()

        assert CANARY not in str(caught.value)
        assert CANARY not in repr(caught.value)


def test_canary_never_in_repr_or_logs(dsn: str, leaky: Queries, caplog: pytest.LogCaptureFixture) -> None:
    """
    A password in the settings and the data of people appear in no repr, no dump and no log, at DEBUG, of ours or of the driver.
    """
    with_password = make_conninfo(dsn, password=CANARY)
    ours = settings(with_password, slow_query_ms=0)
    shown = [repr(ours), str(ours), repr(ours.model_dump()), ours.model_dump_json()]
    caplog.set_level(logging.DEBUG)
    for name in ("store", "psycopg", "psycopg.pool", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    with Store.open(ours, check=True) as shop:
        new = user(CANARY, password_hash=SecretStr(HASH_CANARY))
        created = shop.users.create(new)
        guest = shop.carts.create_guest()
        for _, call in failures(shop, leaky):
            with pytest.raises(StoreError):
                call()
        with shop.session() as session:
            shown += [repr(session), repr(session.connection), repr(session.users)]
        shown += [repr(one) for one in (shop, shop._pool, shop._pool._pool, shop.runtime, new, created)]
        dumped = repr(new.model_dump()) + new.model_dump_json() + repr(created.model_dump())
        shown.append(repr(getattr(shop._pool._pool, "conninfo", "")))
        secret = str(guest.public_id)
        shown_of_guest = [repr(guest), repr(shop.guest(guest.public_id)), repr(shop.guest(guest.public_id)._runner.scope)]  # type: ignore[attr-defined]
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)

    assert [text for text in shown if CANARY in text] == []
    assert [text for text in shown_of_guest if secret in text] == []
    assert HASH_CANARY not in dumped
    assert CANARY not in logged
    assert secret not in logged
    assert "slow query" in logged


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://app:{CANARY}@localhost/shop",
        f"postgresql://app:{CANARY}@[localhost/shop",
        f"postgresql://app:{CANARY}@localhost:port/shop",
        f"postgresql://app:{CANARY}@localhost:99999/shop",
        f"postgresql://app:p/{CANARY}@127.0.0.1:1/shop",
        f"postgresql://app:p@{CANARY}@127.0.0.1:1/shop",
        f"postgresql://app:p#{CANARY}@127.0.0.1:1/shop",
        f"postgresql://app:p?{CANARY}@127.0.0.1:1/shop",
        f"postgresql://app:%zz{CANARY}@127.0.0.1:1/shop",
        f"postgresql://app:{CANARY}@127.0.0.1:1/shop",
        f"postgresql://app@127.0.0.1:1/shop?password={CANARY}",
        f"postgresql://app@127.0.0.1:1/shop?passwort={CANARY}",
        f"host=127.0.0.1 port=1 password={CANARY}",
        f"host=127.0.0.1 port=1 password='{CANARY}",
        f"host=127.0.0.1 port=1 password=x {CANARY}",
        CANARY,
    ],
)
def test_no_error_shows_a_connection_string(url: str) -> None:
    """
    However a password is written wrongly into DATABASE_URL, the error does not repeat it.
    """
    with pytest.raises(StoreError) as caught, Store.open(settings(url)):
        raise AssertionError("opened")

    assert CANARY not in everything_said(caught.value)


def test_a_wrong_password_is_not_repeated(shop: Store) -> None:
    for password in (CANARY, f"{CANARY}\x00", f"{CANARY}\ud800", CANARY * 200):
        with pytest.raises(InvalidCredentials) as caught:
            shop.users.authenticate("other", password)

        assert CANARY not in everything_said(caught.value)


def test_public_id_in_no_error(shop: Store) -> None:
    """
    The secret of a guest is in no refusal, whoever asks.
    """
    guest = shop.carts.create_guest()
    unknown = uuid4()
    me = shop.acting_as(shop.users.create(user("ada")).id)
    me.carts.merge(guest.public_id)
    for secret, call in (
        (unknown, lambda: shop.carts.get_by_public_id(unknown)),
        (unknown, shop.guest(unknown).carts.current),
        (unknown, lambda: shop.guest(unknown).carts.get(guest.id)),
        (unknown, lambda: shop.guest(unknown).carts.clear(guest.id)),
        (unknown, lambda: me.carts.merge(unknown)),
        (guest.public_id, lambda: me.carts.merge(guest.public_id)),
        (guest.public_id, lambda: shop.guest(guest.public_id).carts.clear(guest.id)),
    ):
        with pytest.raises((NotFound, Conflict)) as caught:
            call()
        said = everything_said(caught.value)

        assert str(secret) not in said
        assert secret.hex not in said


def test_one_query_names_password_hash(connect_admin: Connection) -> None:
    """
    One statement returns the hash; beside it three write it, and no other names it.
    """
    naming, returning = set(), set()
    for number, statement in enumerate(own_queries.statements):
        if "password_hash" in statement.text:
            naming.add(statement.full_name)
        if statement.kind == "query":
            connect_admin.pgconn.prepare(b"s%d" % number, statement.text.encode())
            described = connect_admin.pgconn.describe_prepared(b"s%d" % number)
            names = [(described.fname(at) or b"").rstrip(b"!?") for at in range(described.nfields)]
            if b"password_hash" in names:
                returning.add(statement.full_name)

    assert returning == {"users.get_credentials"}
    assert naming == {"users.create_users", "users.get_credentials", "users.rehash_password", "users.set_password_hash"}


@pytest.mark.one_version
def test_login_time_gap(shop: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Every attempt to log in costs one verification, against a hash as dear as a real one.
    """
    calls: list[str] = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, hashed: str | bytes, password: str | bytes) -> Any:
        calls.append(str(hashed))
        return verify(self, hashed, password)

    shop.users.register("ada", "ada@example.org", "correct horse")
    shop.users.deactivate(shop.users.register("bob", "bob@example.org", "correct horse").id)
    monkeypatch.setattr(PasswordHasher, "verify", counting)
    for login, password in (
        ("ada", "wrong horse"),
        ("nobody", "correct horse"),
        ("nobody@example.org", "correct horse"),
        ("a@b@c", "correct horse"),
        ("\x00", "correct horse"),
        ("bob", "correct horse"),
        ("ada", "x" * 5000),
        ("ada", "\ud800"),
        ("ada", ""),
    ):
        with pytest.raises(InvalidCredentials):
            shop.users.authenticate(login, password)
    shop.users.authenticate("ada", "correct horse")

    assert len(calls) == 10
    assert not any(PasswordHasher().check_needs_rehash(hashed) for hashed in calls)


def test_a_malformed_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("STORE_POOL_SIZE", "STORE_POOL_TIMEOUT", "STORE_CURRENCY", "STORE_POOLER", "STORE_DB_STRICT_AUTH"):
        with monkeypatch.context() as patch:
            patch.setenv("DATABASE_URL", f"postgresql://app:{CANARY}@localhost/shop")
            patch.setenv(variable, CANARY)
            with pytest.raises(SettingsError, match=variable) as caught:
                Settings.load()

        assert CANARY not in everything_said(caught.value)


def test_secrets_do_not_travel_in_pickles_of_results(shop: Store) -> None:
    found = shop.users.find_by_username(CANARY)

    assert HASH_CANARY.encode() not in pickle.dumps(found)


def test_row_mismatch_names_the_fault(shop: Store, leaky: Queries) -> None:
    with shop.session() as session, pytest.raises(RowMismatch, match="NewProduct: name: Field required"):
        leaky.leaky.unfit(session, secret="x")
    assert shop.catalog.create(product()).id


def test_names_of_fields_and_wrong_secrets_are_not_quoted(dsn: str) -> None:
    """
    A field that does not exist is named by whoever calls, and a secret with one wrong letter is nearly one.
    """
    with Store.open(settings(dsn)) as shop:
        for call in (
            lambda: shop.users.create({"username": "ada", "email": "a@example.org", "password_hash": HASH, CANARY: 1}),  # type: ignore[arg-type]
            lambda: shop.users.create({"x" * 5_000_000: 1} | {"username": "ada"}),  # type: ignore[arg-type]
            lambda: shop.orders.place(1, ship_to={"name": "Ada", CANARY: "x"}),  # type: ignore[arg-type]
            lambda: shop.guest("Ω0000000-0000-0000-0000-000000000000"),  # type: ignore[arg-type]
            lambda: shop.carts.get_by_public_id("Ω0000000-0000-0000-0000-000000000000"),  # type: ignore[arg-type]
        ):
            with pytest.raises(InvalidInput) as caught:
                call()

            said = str(caught.value) + str(caught.value.field)
            assert CANARY not in said
            assert "Ω" not in said
            assert len(said) < 200


def test_references_and_keys_are_in_no_repr(dsn: str) -> None:
    with Store.open(settings(dsn)) as shop:
        paid = make_world(shop).paid
        event = shop.payments.refund(paid.id, payment_no=1, idempotency_key=CANARY)

        assert event.idempotency_key == CANARY
        assert CANARY not in repr(event)
        assert shop.orders.get(paid.id).payments[0].provider_ref == "paid-0"
        assert "paid-0" not in repr(shop.orders.get(paid.id).payments)
