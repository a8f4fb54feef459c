"""
Every public verb of the sync colour, found by looking: a new verb is in every table of the tests, or they are red.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from pydantic import SecretStr

from store import Address, Cart, Order, PostalAddress, Product, ProductUpdate, Session, Store, User, UserUpdate
from tests.samples import HASH, product, user

PASSWORD = "correct horse"
HOME = PostalAddress(name="Ada", line1="1 Lovelace Street", city="London", country="GB")
_DOMAINS = ("users", "catalog", "inventory", "carts", "orders", "payments", "addresses", "outbox")
_OF_SHOPPER = ("user", "catalog", "carts", "orders", "addresses")


@dataclass(frozen=True)
class World:
    """
    A shop with a user, a product, two carts that hold it, a product that never had stock, and orders before, in and after payment.
    """

    number: int
    user: User
    product: Product
    spare: Product
    cart: Cart
    guest: Cart
    placed: Order
    authorized: Order
    paid: Order
    address: Address

    def arguments(self, verb: str) -> dict[str, Any]:
        """
        Return good values for every parameter of any verb.
        """
        of_users = verb.startswith(("users.", "shopper.user."))
        new = f"new{self.number}"
        orders = {"payments.capture": self.authorized, "payments.void": self.authorized, "payments.refund": self.paid}
        orders |= {"orders.refund": self.paid, "orders.transition": self.paid}
        return {
            "actor": "ada",
            "address": HOME,
            "address_id": self.address.id,
            "after_id": 0,
            "after_txid": 0,
            "amount": Decimal("2.50"),
            "batch": 10,
            "bill_to": HOME,
            "cart_id": self.cart.id,
            "cart_ids": [self.cart.id],
            "claimed_until": None,
            "cursor": None,
            "delta": -1,
            "descending": True,
            "email": f"{new}@example.org" if verb.endswith("register") else self.user.email,
            "expected": 10,
            "expected_total": Decimal("2.50"),
            "expected_updated_at": self.user.updated_at if of_users else self.product.updated_at,
            "expected_version": 2,
            "idempotency_key": new,
            "ids": [1, 2],
            "in_stock": True,
            "is_active": True,
            "kind": "damaged",
            "lines": [(self.product.id, 2)],
            "login": self.user.username,
            "number": self.placed.number,
            "order_id": orders.get(verb, self.placed).id,
            "order_ids": [self.placed.id],
            "page_size": 10,
            "password": PASSWORD,
            "password_hash": SecretStr(HASH),
            "payment_no": 1,
            "price_from": Decimal(1),
            "price_to": Decimal(5),
            "product": product(new),
            "product_id": self.spare.id if verb == "catalog.delete" else self.product.id,
            "product_ids": [self.product.id],
            "products": [product(new)],
            "provider": "test",
            "provider_ref": new,
            "public_id": self.guest.public_id,
            "quantity": 3,
            "reason": "a count",
            "restock": True,
            "seconds": 60,
            "ship_to": HOME,
            "sku": self.product.sku,
            "sort": "price",
            "strategy": "max",
            "text": "lamp",
            "to_status": "shipped",
            "update": UserUpdate(username=f"{new}er") if of_users else ProductUpdate(name="Newer"),
            "user": user(new),
            "user_id": self.user.id,
            "user_ids": [self.user.id],
            "username": new if verb.endswith("register") else self.user.username,
            "users": [user(new)],
        }


@cache
def _hash() -> SecretStr:
    return SecretStr(PasswordHasher().hash(PASSWORD))


def make_world(shop: Store, number: int = 0) -> World:
    """
    Put a world into a shop; several have different numbers.
    """
    ada = shop.users.create(user(f"ada{number}", password_hash=_hash()))
    lamp, spare = shop.catalog.create_many([product(f"A-{number}"), product(f"B-{number}", on_hand=0)])
    placed, authorized, paid = (_order(shop, ada, number, step) for step in ("placed", "authorized", "paid"))
    carts = [shop.carts.get_or_create(user_id=ada.id), shop.carts.create_guest()]
    for cart in carts:
        shop.carts.add_item(cart.id, product_id=lamp.id)
    cart, guest = (shop.carts.get(cart.id) for cart in carts)
    return World(number, ada, lamp, spare, cart, guest, placed, authorized, paid, shop.addresses.create(ada.id, HOME))


def _order(shop: Store, user: User, number: int, step: str) -> Order:
    sold = shop.catalog.create(product(f"{step}-{number}"))
    cart = shop.carts.get_or_create(user_id=user.id)
    shop.carts.add_item(cart.id, product_id=sold.id)
    order = shop.orders.place(cart.id)
    if step != "placed":
        ref = f"{step}-{number}"
        shop.payments.authorize(order.id, provider="test", provider_ref=ref, amount=order.total, idempotency_key="a")
    if step == "paid":
        shop.payments.capture(order.id, payment_no=1, idempotency_key="c")
    return order


def verbs(shop: Store | Session, user_id: int) -> Iterator[tuple[str, Any]]:
    """
    Yield every verb by its name: `users.get`, `shopper.carts.merge`.
    """
    places = {name: getattr(shop, name) for name in _DOMAINS}
    places |= {f"shopper.{name}": getattr(shop.acting_as(user_id), name) for name in _OF_SHOPPER}
    for place, domain in places.items():
        for name, verb in inspect.getmembers(domain, callable):
            if not name.startswith("_"):
                yield f"{place}.{name}", verb


def parameters(verb: Any) -> tuple[str, ...]:
    """
    Return the names of what a verb takes.
    """
    return tuple(inspect.signature(verb).parameters)


def good_call(verb: Any, name: str, world: World, **changes: Any) -> Any:
    """
    Call a verb with good arguments for all its parameters, but for the changes.
    """
    good = world.arguments(name) | changes
    return verb(**{parameter: good[parameter] for parameter in parameters(verb)})
