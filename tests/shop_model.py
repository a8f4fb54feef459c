"""
A shop in plain dicts: what each verb must answer and leave behind. It knows no SQL, no locks and no clock.

Every method checks first and changes last, and refuses with the error that the store must raise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from store import errors
from store.errors import Shortage, StoreError

CENT = Decimal("0.01")
MAX_LINE = 9999
STEPS = {
    "placed": ("cancelled", "paid"),
    "paid": ("cancelled", "refunded", "shipped"),
    "shipped": ("delivered", "refunded"),
    "delivered": ("refunded",),
}


@dataclass
class ModelProduct:
    price: Decimal
    on_hand: int
    is_active: bool = True
    is_moved: bool = False


@dataclass
class ModelCart:
    id: int
    user_id: int | None
    status: str = "open"
    is_expired: bool = False
    lines: dict[int, int] = field(default_factory=dict)
    holds: dict[int, int] = field(default_factory=dict)
    expired: set[int] = field(default_factory=set)


@dataclass
class ModelPayment:
    ref: str
    authorized: Decimal
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)


@dataclass
class ModelOrder:
    id: int
    lines: dict[int, int]
    total: Decimal
    status: str
    version: int
    payments: list[ModelPayment] = field(default_factory=list)
    events: dict[str, tuple[str, int, Decimal]] = field(default_factory=dict)

    @property
    def authorized(self) -> Decimal:
        return sum((payment.authorized for payment in self.payments), Decimal(0))

    @property
    def captured(self) -> Decimal:
        return sum((payment.captured for payment in self.payments), Decimal(0))

    @property
    def refunded(self) -> Decimal:
        return sum((payment.refunded for payment in self.payments), Decimal(0))

    def move(self, to_status: str) -> None:
        self.status, self.version = to_status, self.version + 1

    def refusal(self, to_status: str) -> StoreError:
        legal = [status for status in STEPS.get(self.status, ()) if status != to_status]
        return errors.IllegalTransition(from_status=self.status, to_status=to_status, legal=legal)


class Model:
    """
    The whole shop.
    """

    def __init__(self) -> None:
        self.products: dict[int, ModelProduct] = {}
        self.carts: dict[int, ModelCart] = {}
        self.orders: dict[int, ModelOrder] = {}

    # --- stock -------------------------------------------------------------------------------------------------------

    def held(self, product_id: int, *, but: int = 0, is_live: bool = False) -> int:
        """
        Return how many units carts hold, but for this one; with is_live those that are not expired.
        """
        return sum(
            cart.holds.get(product_id, 0)
            for cart in self.carts.values()
            if cart.id != but and not (is_live and product_id in cart.expired)
        )

    def available(self, product_id: int, cart_id: int = 0) -> int:
        """
        Return how many units can be sold, to this cart if one is named.
        """
        return self.products[product_id].on_hand - self.held(product_id, but=cart_id, is_live=True)

    def reclaim(self, product_ids: Iterable[int]) -> None:
        for cart in self.carts.values():
            for product_id in cart.expired & set(product_ids):
                del cart.holds[product_id]
                cart.expired.discard(product_id)

    def delete(self, product_id: int) -> None:
        if self._product(product_id).is_moved:
            raise errors.ProductInUse
        del self.products[product_id]
        for cart in self.carts.values():
            cart.lines.pop(product_id, None)

    def adjust(self, product_id: int, delta: int, kind: str) -> int:
        product = self._product(product_id)
        if product.on_hand + delta < self.held(product_id, is_live=True):
            raise errors.OutOfStock
        if kind == "damaged" and delta > 0:
            raise errors.InvalidInput(field="quantity")
        return self._count(product_id, product.on_hand + delta)

    def set(self, product_id: int, quantity: int, expected: int | None) -> int:
        product = self._product(product_id)
        if expected not in {None, product.on_hand}:
            raise errors.Conflict
        if quantity < self.held(product_id, is_live=True):
            raise errors.OutOfStock
        return self._count(product_id, quantity)

    def _count(self, product_id: int, on_hand: int) -> int:
        product = self.products[product_id]
        product.is_moved |= on_hand != product.on_hand
        product.on_hand = on_hand
        self.reclaim([product_id])
        return on_hand

    def _product(self, product_id: int) -> ModelProduct:
        if product_id not in self.products:
            raise errors.NotFound
        return self.products[product_id]

    # --- carts -------------------------------------------------------------------------------------------------------

    def open_cart(self, cart_id: int) -> ModelCart:
        cart = self.carts[cart_id]
        if cart.status != "open":
            raise errors.CartClosed
        return cart

    def usable_cart(self, cart_id: int) -> ModelCart:
        """
        Return a cart that may hold stock and become an order: one that is left behind has to be changed first.
        """
        cart = self.open_cart(cart_id)
        if cart.is_expired:
            raise errors.CartClosed
        return cart

    def put(self, cart_id: int, product_id: int, quantity: int, *, is_added: bool) -> int:
        cart = self.open_cart(cart_id)
        if not self._product(product_id).is_active:
            raise errors.ProductUnavailable
        total = quantity + (cart.lines.get(product_id, 0) if is_added else 0)
        if total > MAX_LINE:
            raise errors.InvalidInput(field="quantity")
        cart.lines[product_id] = total
        cart.is_expired = False
        return total

    def remove(self, cart_id: int, product_id: int) -> bool:
        cart = self.open_cart(cart_id)
        cart.is_expired = False
        return cart.lines.pop(product_id, None) is not None

    def clear(self, cart_id: int) -> int:
        cart = self.open_cart(cart_id)
        count = len(cart.lines)
        cart.is_expired = False
        cart.lines.clear()
        return count

    def merge(self, source_id: int, target: ModelCart, strategy: str) -> dict[int, int]:
        source = self.carts[source_id]
        if source.user_id is not None:
            raise errors.NotFound
        if source.status != "open":
            raise errors.CartClosed
        for product_id, quantity in source.lines.items():
            mine = target.lines.get(product_id)
            both = {"sum": min((mine or 0) + quantity, MAX_LINE), "max": max(mine or 0, quantity), "keep_user": mine}
            target.lines[product_id] = quantity if mine is None else both.get(strategy) or quantity
        source.status = "merged"
        target.is_expired = False
        for emptied in (source.lines, source.holds, source.expired):
            emptied.clear()
        return dict(target.lines)

    # --- holds -------------------------------------------------------------------------------------------------------

    def reserve(self, cart_id: int, lines: list[tuple[int, int]] | None) -> dict[int, int]:
        cart = self.usable_cart(cart_id)
        wanted: dict[int, int] = {}
        for product_id, quantity in cart.lines.items() if lines is None else lines:
            wanted[product_id] = wanted.get(product_id, 0) + quantity
        if not wanted:
            raise errors.CartEmpty
        self._refuse(cart, wanted)
        self.reclaim(wanted)
        cart.holds |= wanted
        cart.expired -= wanted.keys()
        return wanted

    def _refuse(self, cart: ModelCart, wanted: dict[int, int]) -> None:
        if any(product_id not in self.products or not self.products[product_id].is_active for product_id in wanted):
            raise errors.ProductUnavailable
        short = [Shortage(one, wanted[one], self.available(one, cart.id)) for one in sorted(wanted)]
        if short := [each for each in short if each.wanted > each.available]:
            raise errors.OutOfStock.of(short)

    def release(self, cart_id: int) -> int:
        cart = self.carts[cart_id]
        count = len(cart.holds)
        cart.holds.clear()
        cart.expired.clear()
        return count

    def extend(self, cart_id: int) -> dict[int, int]:
        cart = self.carts[cart_id]
        cart.expired.clear()
        return dict(cart.holds)

    def expire(self, cart_id: int) -> None:
        self.carts[cart_id].expired = set(self.carts[cart_id].holds)

    def sweep(self) -> tuple[int, int]:
        swept = sum(len(cart.expired) for cart in self.carts.values())
        self.reclaim(self.products)
        left = [cart for cart in self.carts.values() if cart.status == "open" and cart.is_expired and not cart.holds]
        for cart in left:
            cart.status = "abandoned"
        return swept, len(left)

    # --- orders ------------------------------------------------------------------------------------------------------

    def total(self, cart: ModelCart) -> Decimal:
        return sum(
            ((self.products[one].price * quantity).quantize(CENT, ROUND_HALF_UP) for one, quantity in cart.lines.items()),
            Decimal(0),
        )

    def preview(self, cart_id: int) -> tuple[Decimal, set[int]]:
        cart = self.usable_cart(cart_id)
        short = {one for one, n in cart.lines.items() if not self.products[one].is_active or n > self.available(one, cart_id)}
        return self.total(cart), short

    def place(self, cart_id: int, expected: Decimal | None, *, has_email: bool) -> tuple[bool, Decimal]:
        cart = self.carts[cart_id]
        if cart.status == "ordered":
            return True, self.orders[cart_id].total
        self.usable_cart(cart_id)
        if not cart.lines:
            raise errors.CartEmpty
        self._refuse(cart, cart.lines)
        total = self.total(cart)
        if expected not in {None, total}:
            assert expected is not None
            raise errors.PriceChanged(expected=expected, total=total)
        if cart.user_id is None and not has_email:
            raise errors.InvalidInput(field="email")
        touched = cart.lines.keys() | cart.holds.keys()
        self.release(cart_id)
        self.reclaim(touched)
        for product_id, quantity in cart.lines.items():
            self.products[product_id].on_hand -= quantity
        cart.status = "ordered"
        status, version = ("placed", 1) if total else ("paid", 2)
        self.orders[cart_id] = ModelOrder(cart_id, dict(cart.lines), total, status, version)
        return False, total

    def transition(self, order_id: int, to_status: str, expected: int | None) -> str:
        order = self.orders[order_id]
        if expected not in {None, order.version}:
            raise errors.Conflict
        is_paid_back = order.total > 0 and order.captured == order.refunded
        if to_status not in STEPS.get(order.status, ()) or is_paid_back:
            raise order.refusal(to_status)
        order.move(to_status)
        return to_status

    def cancel(self, order_id: int) -> str:
        order = self.orders[order_id]
        if "cancelled" not in STEPS.get(order.status, ()):
            raise order.refusal("cancelled")
        if any(payment.authorized != payment.refunded for payment in order.payments):
            raise errors.PaymentOutstanding
        return self._end(order, "cancelled", restock=True)

    def refund(self, order_id: int, *, restock: bool) -> str:
        order = self.orders[order_id]
        if "refunded" not in STEPS.get(order.status, ()):
            raise order.refusal("refunded")
        for payment in order.payments:
            payment.refunded = payment.captured
        return self._end(order, "refunded", restock=restock)

    def _end(self, order: ModelOrder, to_status: str, *, restock: bool) -> str:
        for product_id, quantity in order.lines.items() if restock else ():
            self.products[product_id].on_hand += quantity
        order.move(to_status)
        return to_status

    # --- money -------------------------------------------------------------------------------------------------------

    def authorize(self, order_id: int, amount: Decimal, key: str, ref: str) -> tuple[bool, int, Decimal]:
        order = self.orders[order_id]
        self._positive(amount)
        self._callers(key)
        if key in order.events:
            kind, payment_no, first = order.events[key]
            if (kind, order.payments[payment_no - 1].ref, first) != ("authorize", ref, amount):
                raise errors.IdempotencyKeyReused
            return True, payment_no, first
        self._unpaid(order)
        if amount > order.total - order.authorized:
            raise errors.AmountExceeded(amount=amount, limit=order.total - order.authorized)
        self._payable(amount)
        if any(ref == payment.ref for other in self.orders.values() for payment in other.payments):
            raise errors.DuplicatePayment
        order.payments.append(ModelPayment(ref, amount))
        order.events[key] = ("authorize", len(order.payments), amount)
        return False, len(order.payments), amount

    def pay(self, kind: str, order_id: int, payment_no: int, amount: Decimal | None, key: str) -> tuple[bool, int, Decimal]:
        order = self.orders[order_id]
        if amount is not None:
            self._positive(amount)
        self._callers(key)
        if key in order.events:
            if (kind, payment_no) != order.events[key][:2] or amount not in {None, order.events[key][2]}:
                raise errors.IdempotencyKeyReused
            return True, payment_no, order.events[key][2]
        if payment_no > len(order.payments):
            raise errors.NotFound
        payment = order.payments[payment_no - 1]
        if kind == "capture":
            self._unpaid(order)
        due = payment.captured - payment.refunded if kind == "refund" else payment.authorized - payment.captured
        moved = due if amount is None else amount
        if moved > due or not due:
            raise errors.AmountExceeded(amount=amount, limit=due)
        self._payable(moved)
        self._book(order, payment, kind, moved)
        order.events[key] = (kind, payment_no, moved)
        return False, payment_no, moved

    def _book(self, order: ModelOrder, payment: ModelPayment, kind: str, amount: Decimal) -> None:
        if kind == "void":
            payment.authorized -= amount
        elif kind == "refund":
            payment.refunded += amount
        else:
            payment.captured += amount
            if order.captured == order.total:
                order.move("paid")

    def _unpaid(self, order: ModelOrder) -> None:
        if order.status != "placed":
            raise errors.IllegalTransition(from_status=order.status, to_status="paid")
        if order.refunded:
            raise errors.IllegalTransition(from_status="placed", to_status="paid", legal=("cancelled",))

    def _callers(self, key: str) -> None:
        if key.startswith("store:"):
            raise errors.InvalidInput(field="idempotency_key")

    def _positive(self, amount: Decimal) -> None:
        if amount <= 0:
            raise errors.InvalidInput(field="amount")

    def _payable(self, amount: Decimal) -> None:
        if amount != amount.quantize(CENT):
            raise errors.InvalidInput(field="amount")


def answer(call: Any) -> tuple[str, Any]:
    """
    Return what a call returns, or the class of its refusal with all it says but for the words.
    """
    try:
        return "done", call()
    except StoreError as error:
        told = {name: value for name, value in vars(error).items() if name not in {"sqlstate", "constraint"}}
        return type(error).__name__, told
