"""
Any sequence of verbs, against a shop in plain dicts: the same answers, the same errors, the same rows, and right books in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from store import ProductUpdate, Store
from store.sweep import sweep
from tests import samples
from tests.databases import Connection
from tests.faults import CHECKS
from tests.shop_model import Model, ModelCart, ModelProduct, answer

FAULTS = " UNION ALL ".join(
    f"SELECT '{one.name}', subject, fault FROM ({one.text.rstrip().rstrip(';')}) AS s" for one in CHECKS.statements
)
MAX_PRODUCTS, MAX_CARTS = 4, 12

which = st.integers(0, MAX_CARTS - 1)
units = st.integers(1, 6)
prices = st.sampled_from([Decimal(text) for text in ("0", "0.125", "2.50", "9.9999", "40")])
amounts = st.sampled_from([Decimal(text) for text in ("0", "0.001", "0.50", "2.50", "5", "1000")])
keys = st.sampled_from([*(f"k{n}" for n in range(12)), "store:1"])


class Shop(RuleBasedStateMachine):
    """
    Rules call a verb of the store and the method of the model that foretells it.
    """

    shop: ClassVar[Store]
    admin: ClassVar[Connection]
    seen: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        tables = ", ".join(f"store.{table}" for table, is_written in samples.tables(self.admin).items() if is_written)
        self.admin.execute(f"TRUNCATE {tables}".encode())
        self.model = Model()
        self.users = [user.id for user in self.shop.users.create_many([samples.user("ada"), samples.user("bob")])]
        self.secrets: dict[int, Any] = {}
        self.made = 0

    @initialize(price=prices, on_hand=st.integers(0, 12), payments=st.sampled_from([0, 1, 2]), is_expired=st.booleans())
    def begin(self, price: Decimal, on_hand: int, payments: int, is_expired: bool) -> None:
        self.create_product(price, on_hand)
        self.create_product(Decimal("2.50"), 12)
        self.buy(1, 2, is_held=False)
        if payments == 1:
            self.pay_in_full(0)
        elif payments:
            self.pay_with_two(0, Decimal("2.50"), 2, None)
        self.open_for_guest()
        self.open_for_user(0)
        self.add_item(1, 1, 5)
        self.add_item(2, 1, 3)
        self.reserve(1, None)
        if is_expired:
            self.let_holds_expire(1)

    def same(self, verb: Callable[[], Any], model: Callable[[], Any]) -> None:
        found, foretold = answer(verb), answer(model)
        self.seen[f"{verb.__qualname__.split('.')[1]}: {found[0]}"] += 1

        assert foretold == found

    # --- catalog and stock -------------------------------------------------------------------------------------------

    @rule(price=prices, on_hand=st.integers(0, 12))
    def create_product(self, price: Decimal, on_hand: int) -> None:
        if len(self.model.products) < MAX_PRODUCTS:
            self.made += 1
            made = self.shop.catalog.create(samples.product(f"P{self.made}", price=price, on_hand=on_hand))
            self.model.products[made.id] = ModelProduct(price, on_hand, is_moved=on_hand > 0)

    @rule(n=which, price=prices)
    def change_price(self, n: int, price: Decimal) -> None:
        product_id = self.product(n)
        self.shop.catalog.update(product_id, ProductUpdate(price=price))
        self.model.products[product_id].price = price

    @rule(n=which, is_active=st.sampled_from([False, True, True]))
    def archive(self, n: int, is_active: bool) -> None:
        product_id = self.product(n)
        self.shop.catalog.update(product_id, ProductUpdate(is_active=is_active))
        self.model.products[product_id].is_active = is_active

    @rule(n=which)
    def delete(self, n: int) -> None:
        if len(self.model.products) > 1:
            product_id = self.product(n)
            self.same(lambda: self.shop.catalog.delete(product_id), lambda: self.model.delete(product_id))

    @rule(n=which, delta=st.integers(-12, 12), kind=st.sampled_from(["adjusted", "adjusted", "damaged"]))
    def adjust(self, n: int, delta: int, kind: Any) -> None:
        product_id = self.product(n)
        self.same(
            lambda: self.shop.inventory.adjust(product_id, delta=delta, kind=kind).on_hand,
            lambda: self.model.adjust(product_id, delta, kind),
        )

    @rule(n=which, quantity=st.integers(0, 20), off=st.sampled_from([None, 0, 0, 1]))
    def set_stock(self, n: int, quantity: int, off: int | None) -> None:
        product_id = self.product(n)
        expected = None if off is None else self.model.products[product_id].on_hand + off
        self.same(
            lambda: self.shop.inventory.set(product_id, quantity=quantity, expected=expected).on_hand,
            lambda: self.model.set(product_id, quantity, expected),
        )

    @rule(n=which, quantity=units)
    def receive(self, n: int, quantity: int) -> None:
        product_id = self.product(n)
        self.same(
            lambda: self.shop.inventory.receive(product_id, quantity=quantity).on_hand,
            lambda: self.model.adjust(product_id, quantity, "received"),
        )

    # --- carts -------------------------------------------------------------------------------------------------------

    @rule()
    def open_for_guest(self) -> None:
        if len(self.model.carts) < MAX_CARTS:
            cart = self.shop.carts.create_guest()
            self.model.carts[cart.id], self.secrets[cart.id] = ModelCart(cart.id, None), cart.public_id

    @rule(n=st.integers(0, 1))
    def open_for_user(self, n: int) -> None:
        cart = self.shop.carts.get_or_create(user_id=self.users[n])
        mine = self.cart_of(self.users[n])

        assert mine is None or mine.id == cart.id
        self.model.carts.setdefault(cart.id, ModelCart(cart.id, self.users[n])).is_expired = False
        self.secrets[cart.id] = cart.public_id

    @rule(n=which, m=which, quantity=units | st.just(9_998))
    def add_item(self, n: int, m: int, quantity: int) -> None:
        cart, product_id = self.cart(n), self.product(m)
        self.same(
            lambda: self.shop.carts.add_item(cart, product_id=product_id, quantity=quantity).quantity,
            lambda: self.model.put(cart, product_id, quantity, is_added=True),
        )

    @rule(n=which, m=which, quantity=units)
    def set_quantity(self, n: int, m: int, quantity: int) -> None:
        cart, product_id = self.cart(n), self.product(m)
        self.same(
            lambda: self.shop.carts.set_quantity(cart, product_id=product_id, quantity=quantity).quantity,
            lambda: self.model.put(cart, product_id, quantity, is_added=False),
        )

    @rule(n=which)
    def leave_behind(self, n: int) -> None:
        cart = self.cart(n)
        self.admin.execute("UPDATE store.carts SET expires_at = now() - interval '1 s' WHERE id = %s", (cart,))
        self.model.carts[cart].is_expired = True

    @rule(n=which, m=which)
    def remove_item(self, n: int, m: int) -> None:
        cart, product_id = self.cart(n), self.product(m)
        self.same(lambda: self.shop.carts.remove_item(cart, product_id=product_id), lambda: self.model.remove(cart, product_id))

    @rule(n=which)
    def clear(self, n: int) -> None:
        cart = self.cart(n)
        self.same(lambda: self.shop.carts.clear(cart), lambda: self.model.clear(cart))

    @rule(n=which, who=st.integers(0, 1), strategy=st.sampled_from(["sum", "max", "keep_user", "keep_guest"]))
    def merge(self, n: int, who: int, strategy: Any) -> None:
        source, user_id = self.cart(n), self.users[who]
        target = self.cart_of(user_id) or ModelCart(0, user_id)

        def merge() -> dict[int, int]:
            merged = self.shop.carts.merge(self.secrets[source], user_id=user_id, strategy=strategy)
            target.id, self.secrets[merged.id] = merged.id, merged.public_id
            return {line.product_id: line.quantity for line in merged.lines}

        self.same(merge, lambda: self.model.merge(source, target, strategy))
        if target.id:
            self.model.carts[target.id] = target

    # --- holds -------------------------------------------------------------------------------------------------------

    @rule(n=which, lines=st.none() | st.lists(st.tuples(which, units), max_size=3))
    def reserve(self, n: int, lines: list[tuple[int, int]] | None) -> None:
        cart = self.cart(n)
        wanted = None if lines is None else [(self.product(m), quantity) for m, quantity in lines]
        self.same(
            lambda: {hold.product_id: hold.quantity for hold in self.shop.inventory.reserve(cart, lines=wanted)},
            lambda: self.model.reserve(cart, wanted),
        )

    @rule(n=which)
    def release(self, n: int) -> None:
        cart = self.cart(n)
        self.same(lambda: self.shop.inventory.release(cart), lambda: self.model.release(cart))

    @rule(n=which)
    def extend(self, n: int) -> None:
        cart = self.cart(n)
        self.same(
            lambda: {hold.product_id: hold.quantity for hold in self.shop.inventory.extend(cart)},
            lambda: self.model.extend(cart),
        )

    @rule(n=which)
    def let_holds_expire(self, n: int) -> None:
        cart = self.cart(n)
        self.admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s' WHERE cart_id = %s", (cart,))
        self.model.expire(cart)

    @rule()
    def sweep(self) -> None:
        done = sweep(self.shop)

        assert (done.holds, done.carts) == self.model.sweep()

    # --- orders ------------------------------------------------------------------------------------------------------

    @rule(n=which)
    def preview(self, n: int) -> None:
        cart = self.cart(n)

        def preview() -> tuple[Decimal, set[int]]:
            found = self.shop.orders.preview(cart)
            return found.total, {line.product_id for line in found.unavailable}

        self.same(preview, lambda: self.model.preview(cart))

    @rule(
        n=which, off=st.sampled_from([None, None, Decimal(0), Decimal("0.01")]), has_email=st.sampled_from([True, True, False])
    )
    def place(self, n: int, off: Decimal | None, has_email: bool) -> None:
        cart = self.cart(n)
        expected = None if off is None else self.model.total(self.model.carts[cart]) + off
        email = "guest@example.org" if has_email else None

        def place() -> tuple[bool, Decimal]:
            order = self.shop.orders.place(cart, email=email, expected_total=expected)
            return order.replayed, order.total

        self.same(place, lambda: self.model.place(cart, expected, has_email=has_email))

    @rule(m=which, quantity=units, is_held=st.booleans())
    def buy(self, m: int, quantity: int, is_held: bool) -> None:
        """
        From nothing to an order: the other rules seldom get there by chance.
        """
        if len(self.model.carts) < MAX_CARTS:
            self.open_for_guest()
            n = len(self.model.carts) - 1
            self.add_item(n, m, quantity)
            if is_held:
                self.reserve(n, None)
            self.place(n, None, has_email=True)

    @precondition(lambda self: self.model.orders)
    @rule(n=which, to_status=st.sampled_from(["shipped", "delivered"]), off=st.sampled_from([None, 0, 1]))
    def transition(self, n: int, to_status: Any, off: int | None) -> None:
        order = self.order(n)
        expected = None if off is None else self.model.orders[order].version + off
        self.same(
            lambda: self.shop.orders.transition(order, to_status=to_status, expected_version=expected).status,
            lambda: self.model.transition(order, to_status, expected),
        )

    @precondition(lambda self: self.model.orders)
    @rule(n=which)
    def cancel(self, n: int) -> None:
        order = self.order(n)
        self.same(lambda: self.shop.orders.cancel(order).status, lambda: self.model.cancel(order))

    @precondition(lambda self: self.model.orders)
    @rule(n=which, restock=st.booleans())
    def refund(self, n: int, restock: bool) -> None:
        order = self.order(n)
        self.same(
            lambda: self.shop.orders.refund(order, restock=restock).status, lambda: self.model.refund(order, restock=restock)
        )

    # --- money -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.orders)
    @rule(n=which, amount=amounts | st.none(), key=keys, ref=st.sampled_from([f"r{n}" for n in range(12)]))
    def authorize(self, n: int, amount: Decimal | None, key: str, ref: str) -> None:
        order = self.order(n)
        asked = self.model.orders[order].total if amount is None else amount

        def authorize() -> tuple[bool, int, Decimal]:
            event = self.shop.payments.authorize(order, provider="test", provider_ref=ref, amount=asked, idempotency_key=key)
            return event.replayed, event.payment_no, event.amount

        self.same(authorize, lambda: self.model.authorize(order, asked, key, ref))

    @precondition(lambda self: self.model.orders)
    @rule(n=which)
    def pay_in_full(self, n: int) -> None:
        """
        From placed to paid, for the same reason.
        """
        self.made += 1
        self.authorize(n, None, f"a{self.made}", f"x{self.made}")
        order = self.model.orders[self.order(n)]
        self.move_money(order.id, "capture", len(order.payments) or 1, None, f"c{self.made}")

    @precondition(lambda self: self.model.orders)
    @rule(n=which, part=amounts, payment_no=st.sampled_from([1, 2]), amount=amounts | st.none())
    def pay_with_two(self, n: int, part: Decimal, payment_no: int, amount: Decimal | None) -> None:
        """
        A part is authorized and then the rest, and either of the two captured: two payments in one order, for the same reason.
        """
        self.made += 1
        order = self.model.orders[self.order(n)]
        self.authorize(n, part, f"a{self.made}", f"x{self.made}")
        self.authorize(n, order.total - order.authorized, f"b{self.made}", f"y{self.made}")
        self.move_money(order.id, "capture", payment_no, amount, f"c{self.made}")

    @precondition(lambda self: any(order.payments for order in self.model.orders.values()))
    @rule(
        n=which,
        kind=st.sampled_from(["capture", "capture", "refund", "void"]),
        payment_no=st.sampled_from([1, 1, 1, 2, 2, 3]),
        amount=amounts | st.none(),
        key=keys,
    )
    def pay(self, n: int, kind: str, payment_no: int, amount: Decimal | None, key: str) -> None:
        orders = [order.id for order in self.model.orders.values() if order.payments]
        self.move_money(orders[n % len(orders)], kind, payment_no, amount, key)

    def move_money(self, order: int, kind: str, payment_no: int, amount: Decimal | None, key: str) -> None:
        asked = None if kind == "void" else amount
        given = {"payment_no": payment_no, "idempotency_key": key} | ({} if kind == "void" else {"amount": asked})

        def move() -> tuple[bool, int, Decimal]:
            event = getattr(self.shop.payments, kind)(order, **given)
            return event.replayed, event.payment_no, event.amount

        self.same(move, lambda: self.model.pay(kind, order, payment_no, asked, key))

    # --- what must hold after every step -----------------------------------------------------------------------------

    @invariant()
    def the_books_are_right(self) -> None:
        assert self.admin.execute(FAULTS.encode(), prepare=True).fetchall() == []

    @invariant()
    def stock_is_as_foretold(self) -> None:
        model = self.model
        found = {
            one.product_id: (one.on_hand, one.reserved, one.available) for one in self.shop.inventory.get_many(model.products)
        }

        assert {i: (p.on_hand, model.held(i), model.available(i)) for i, p in model.products.items()} == found

    @invariant()
    def carts_are_as_foretold(self) -> None:
        found = {
            cart.id: (
                (cart.status, cart.is_expired),
                {line.product_id: (line.quantity, line.available) for line in cart.lines},
                cart.subtotal,
            )
            for cart in self.shop.carts.get_many(self.model.carts)
        }
        foretold = {}
        for cart in self.model.carts.values():
            own = {one: quantity for one, quantity in cart.holds.items() if one not in cart.expired}
            lines = {one: (n, self.model.available(one) + own.get(one, 0)) for one, n in cart.lines.items()}
            foretold[cart.id] = ((cart.status, cart.is_expired), lines, self.model.total(cart))

        assert foretold == found

    @invariant()
    def orders_are_as_foretold(self) -> None:
        found = {
            order.id: (
                order.status,
                order.version,
                order.total,
                {line.product_id: line.quantity for line in order.lines},
                [(one.provider_ref, one.authorized, one.captured, one.refunded) for one in order.payments],
            )
            for order in self.shop.orders.get_many(self.model.orders)
        }

        assert {
            order.id: (
                order.status,
                order.version,
                order.total,
                order.lines,
                [(one.ref, one.authorized, one.captured, one.refunded) for one in order.payments],
            )
            for order in self.model.orders.values()
        } == found

    def product(self, n: int) -> int:
        return list(self.model.products)[n % len(self.model.products)]

    def cart(self, n: int) -> int:
        return list(self.model.carts)[n % len(self.model.carts)]

    def order(self, n: int) -> int:
        return list(self.model.orders)[n % len(self.model.orders)]

    def cart_of(self, user_id: int) -> ModelCart | None:
        mine = [cart for cart in self.model.carts.values() if cart.user_id == user_id and cart.status == "open"]
        return mine[0] if mine else None


@pytest.fixture
def machine(dsn: str, connect_admin: Connection) -> Iterator[type[Shop]]:
    """
    The machine on a shop of its own; each run begins with empty tables.
    """
    with Store.open(samples.settings(dsn, pool_size=1)) as shop:
        Shop.shop, Shop.admin, Shop.seen = shop, connect_admin, Counter()
        yield Shop


@pytest.mark.parametrize(
    ("runs", "steps", "answers"),
    [pytest.param(30, 30, 30, id="short"), pytest.param(1000, 50, 50, id="long", marks=pytest.mark.long)],
)
def test_any_sequence_of_verbs_is_as_the_model_foretells(machine: type[Shop], runs: int, steps: int, answers: int) -> None:
    """
    Other sequences every time; one that fails is made short and printed, with what repeats it.
    """
    given = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(machine, settings=given)

    assert len(machine.seen) >= answers  # different ones: done, and each refusal of each verb
