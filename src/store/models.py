"""
The DTOs: what goes into the verbs and what comes out of them.

Frozen, closed (`extra="forbid"`), without logic that reads. Money is Decimal and never float. Personal data and secrets are
in no repr. The bounds repeat those of sql/schema, where they are enforced whatever the client is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar, overload
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

__all__ = [
    "Address",
    "Cart",
    "CartItem",
    "CartLine",
    "CartStatus",
    "Facets",
    "Hold",
    "Inventory",
    "MergeStrategy",
    "MovementKind",
    "NewProduct",
    "NewUser",
    "Order",
    "OrderEvent",
    "OrderLine",
    "OrderPreview",
    "OrderStatus",
    "OrderSummary",
    "OutboxEvent",
    "Page",
    "Payment",
    "PaymentEvent",
    "PaymentKind",
    "PaymentStatus",
    "PostalAddress",
    "PriceRange",
    "Product",
    "ProductSort",
    "ProductUpdate",
    "StockMovement",
    "User",
    "UserUpdate",
]

T = TypeVar("T")

MAX_ID = 2**63 - 1
MIN_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
MAX_INSTANT = datetime(2200, 1, 1, tzinfo=UTC)
MAX_AMOUNT = Decimal(10) ** 12
MAX_DECIMALS = 4
MAX_QUANTITY = 9999
MAX_STOCK = 1_000_000_000
MAX_PAGE = 200
MAX_MANY = 10_000

HIDDEN = r"\x00-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060\u2066-\u2069\ufeff"
"""
What a terminal obeys or hides, as a class of a regular expression: the characters that store.is_printable() refuses.
"""
_HIDDEN = re.compile(f"[{HIDDEN}]")
_HIDDEN_IN_LINES = re.compile(rf"(?![\t\n]|\r\n)[{HIDDEN}]")


# --- kinds of values -------------------------------------------------------------------------------------------------


def _storable(text: str) -> str:
    if "\x00" in text:
        msg = "must not hold a NUL character"
        raise ValueError(msg)
    if any("\ud800" <= character <= "\udfff" for character in text):
        msg = "must not hold a lone surrogate"
        raise ValueError(msg)
    return text


def hidden_fault(text: str, *, has_lines: bool = False) -> str:
    """
    Return which character of a text must not be printed; nothing when there is none. Lines keep tabs and line breaks.
    """
    found = (_HIDDEN_IN_LINES if has_lines else _HIDDEN).search(text)
    if found is None:
        return ""
    what = "a control character" if unicodedata.category(found[0]) == "Cc" else "which cannot be seen"
    return f"holds U+{ord(found[0]):04X}, {what}"


def _printable(text: str) -> str:
    if fault := hidden_fault(_storable(text)):
        raise ValueError(fault)
    return text


def _printable_lines(text: str) -> str:
    if fault := hidden_fault(_storable(text), has_lines=True):
        raise ValueError(fault)
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        msg = "must not be blank"
        raise ValueError(msg)
    return text


def canonical_email(address: str) -> str:
    """
    Return the form of an e-mail address that is stored: NFKC, then lower case; what is then not ASCII is refused.

    Two spellings that a reader takes for one (full-width, decomposed, capital) become one. A domain outside ASCII is refused
    rather than converted: conversions disagree on letters like ß, and a guess would name another domain.
    """
    text = unicodedata.normalize("NFKC", address).lower()
    local, _, domain = text.rpartition("@")
    if not domain.isascii():
        msg = "the domain must be ASCII: give the xn-- form"
        raise ValueError(msg)
    if not local.isascii():
        msg = "the part before the @ must be ASCII"
        raise ValueError(msg)
    if not 3 <= len(text) <= 254:
        msg = "must have 3 to 254 characters"
        raise ValueError(msg)
    if not re.fullmatch(r"[!-?\[-~]+@[a-z0-9-]+(\.[a-z0-9-]+)*", text):
        msg = "must be one word, one @ and a domain"
        raise ValueError(msg)
    return text


_EXACT = Context(prec=80)  # not the caller's
_PLAIN_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


def _exact_amount(value: Any) -> Decimal:
    """
    Take a Decimal or a string of plain digits; cut zeros behind the fourth decimal, and refuse what would need rounding.
    """
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        value = Decimal(value)
    if type(value) is not Decimal:
        msg = "must be a Decimal, or a string of plain digits like '19.99'"
        raise ValueError(msg)
    if not value.is_finite() or value < 0 or value >= MAX_AMOUNT:
        msg = "must be 0 or more and below 1000000000000"
        raise ValueError(msg)
    decimals = -int(value.as_tuple().exponent)
    if decimals <= MAX_DECIMALS:
        return value if decimals >= 0 else Decimal(int(value))
    cut = value.quantize(Decimal("0.0001"), context=_EXACT) if decimals <= 40 else None
    if cut is None or cut != value:
        msg = "must have at most 4 decimals"
        raise ValueError(msg)
    return cut


def _is_hash(secret: SecretStr) -> SecretStr:
    found = secret.get_secret_value()
    if not re.fullmatch(r"\$[a-z0-9-]+\$[!-~]+", found) or not 20 <= len(found) <= 512:
        msg = "must be a hash in the $name$... notation of 20 to 512 characters, not a password"
        raise ValueError(msg)
    return secret


def _is_callers(key: str) -> str:
    if key.startswith("store:"):
        msg = "must not begin with 'store:', which the keys of the store itself do"
        raise ValueError(msg)
    return key


Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
Delta = Annotated[int, Field(strict=True, ge=-MAX_STOCK, le=MAX_STOCK)]
Stock = Annotated[int, Field(strict=True, ge=0, le=MAX_STOCK)]
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]
PageSize = Annotated[int, Field(strict=True, ge=1, le=MAX_PAGE)]
Flag = Annotated[bool, Field(strict=True)]
Money = Annotated[Decimal, BeforeValidator(_exact_amount)]
Text = Annotated[str, Field(strict=True, max_length=10_000), AfterValidator(_storable)]
Username = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$")]
Email = Annotated[str, Field(strict=True, max_length=1000), AfterValidator(_storable), AfterValidator(canonical_email)]
PasswordHash = Annotated[SecretStr, AfterValidator(_is_hash)]
Sku = Annotated[str, Field(strict=True, max_length=64, pattern=r"^[!-~]([ -~]*[!-~])?$")]
Name = Annotated[str, Field(strict=True, min_length=1, max_length=255), AfterValidator(_printable), AfterValidator(_not_blank)]
Description = Annotated[str, Field(strict=True, min_length=1, max_length=10_000), AfterValidator(_printable_lines)]
Currency = Annotated[str, Field(strict=True, pattern=r"^[A-Z]{3}$")]
Instant = Annotated[AwareDatetime, Field(ge=MIN_INSTANT, lt=MAX_INSTANT)]
PublicId = UUID
SearchText = Annotated[str, Field(strict=True, max_length=1000), AfterValidator(_storable)]

HoldSeconds = Annotated[int, Field(strict=True, ge=1, le=30 * 86_400)]
Held = Annotated[int, Field(strict=True, ge=1, le=MAX_STOCK)]
Actor = Annotated[str, Field(strict=True, min_length=1, max_length=100), AfterValidator(_printable)]
Reason = Annotated[str, Field(strict=True, min_length=1, max_length=500), AfterValidator(_printable)]

Paid = Annotated[Money, Field(gt=0)]
Line = Annotated[str, Field(strict=True, min_length=1, max_length=255), AfterValidator(_printable), AfterValidator(_not_blank)]
Short = Annotated[str, Field(strict=True, min_length=1, max_length=32), AfterValidator(_printable), AfterValidator(_not_blank)]
Word = Annotated[str, Field(strict=True, min_length=1, max_length=64), AfterValidator(_printable)]
Reference = Annotated[str, Field(strict=True, min_length=1, max_length=255), AfterValidator(_printable)]
IdempotencyKey = Annotated[Reference, AfterValidator(_is_callers)]
Batch = Annotated[int, Field(strict=True, ge=1, le=1000)]
Version = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]

CartStatus = Literal["open", "ordered", "merged", "abandoned"]
MergeStrategy = Literal["sum", "max", "keep_user", "keep_guest"]
MovementKind = Literal["received", "sold", "returned", "adjusted", "damaged"]
OrderStatus = Literal["placed", "paid", "shipped", "delivered", "cancelled", "refunded"]
PaymentKind = Literal["authorize", "capture", "void", "refund"]
PaymentStatus = Literal["authorized", "captured", "refunded", "voided"]
ProductSort = Literal["created_at", "name", "price"]


_UNSET: Any = None  # never validated and never sent: what counts is whether the field was set


class Dto(BaseModel, frozen=True):
    """
    A closed, frozen model whose errors never quote their input.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Input(Dto, frozen=True):
    """
    What a caller gives. Validated anew by the verb, so that no subclass or unvalidated instance brings in another field.
    """

    model_config = ConfigDict(revalidate_instances="always")


# --- users -----------------------------------------------------------------------------------------------------------


class NewUser(Input, frozen=True):
    """
    A user to be created. The hash is made by the caller, or by `users.register` from a password.
    """

    username: Username = Field(repr=False)
    email: Email = Field(repr=False)
    password_hash: PasswordHash = Field(exclude=True, repr=False)


class UserUpdate(Dto, frozen=True):
    """
    What changes of a user: a field that is not set stays.
    """

    username: Username = Field(default=_UNSET, repr=False)
    email: Email = Field(default=_UNSET, repr=False)


class User(Dto, frozen=True):
    """
    A user. The password hash is not part of it.
    """

    id: Id
    username: str = Field(repr=False)
    email: str = Field(repr=False)
    is_active: bool
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Credentials(User, frozen=True):
    """
    A user with the hash to verify; never handed out.
    """

    password_hash: SecretStr = Field(exclude=True, repr=False)


# --- catalog and inventory -------------------------------------------------------------------------------------------


class NewProduct(Input, frozen=True):
    """
    A product to be created, with its first stock. Without a currency it is priced in STORE_CURRENCY.
    """

    sku: Sku
    name: Name
    description: Description | None = None
    price: Money
    currency: Currency | None = None
    is_active: Flag = True
    on_hand: Stock = 0


class ProductUpdate(Dto, frozen=True):
    """
    What changes of a product: a field that is not set stays, a description of None is cleared. The currency never changes.
    """

    sku: Sku = Field(default=_UNSET)
    name: Name = Field(default=_UNSET)
    description: Description | None = None
    price: Money = Field(default=_UNSET)
    is_active: Flag = Field(default=_UNSET)


class Product(Dto, frozen=True):
    """
    A product at its current price. `inventory_count` is what can be sold now, in units.
    """

    id: Id
    sku: str
    name: str
    description: str | None
    price: Decimal
    currency: str
    is_active: bool
    inventory_count: Count
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Inventory(Dto, frozen=True):
    """
    The stock of a product in units: on_hand in the house, reserved of them held for carts, available what can be sold, the
    expired holds included.
    """

    product_id: Id
    on_hand: Count
    reserved: Count
    available: Count


class StockMovement(Dto, frozen=True):
    """
    A change of stock: how many units came (positive) or went, and how many there were afterwards.
    """

    product_id: Id
    id: Id
    kind: MovementKind
    quantity: int
    on_hand_after: Count
    order_id: Id | None
    reason: str | None
    actor: str | None
    created_at: AwareDatetime


class Hold(Dto, frozen=True):
    """
    Units of a product held for a cart until they expire.
    """

    cart_id: Id
    product_id: Id
    quantity: Held
    expires_at: AwareDatetime


class HoldVerdict(Dto, frozen=True):
    """
    What a reservation found for one product; without expires_at nothing was held. Of a cart that changed meanwhile it is stale.
    """

    cart_id: Id
    cart_status: CartStatus
    is_expired: bool
    is_stale: bool
    product_id: Id | None
    wanted: Count | None
    available: Count | None
    is_active: bool | None
    expires_at: AwareDatetime | None


class Released(Dto, frozen=True):
    """
    Of how many products a cart gave units back.
    """

    released: Count


class PriceStep(Dto, frozen=True):
    """
    How many products fall behind the n-th price step.
    """

    step: Count
    products: Count


class PriceRange(Dto, frozen=True):
    """
    How many products cost at least `price_from` and less than `price_to` (None: no end).
    """

    price_from: Decimal
    price_to: Decimal | None
    products: Count


class Facets(Dto, frozen=True):
    """
    A result divided for a filter column. With `is_capped` there are more than the 10,000 products counted.
    """

    products: Count
    is_capped: bool
    in_stock: Count
    price_min: Decimal | None
    price_max: Decimal | None
    price_ranges: tuple[PriceRange, ...]


class CountedFacets(Dto, frozen=True):
    """
    Facets as the statement counts them: ranges by the number of their step.
    """

    products: Count
    is_capped: bool
    in_stock: Count
    price_min: Decimal | None
    price_max: Decimal | None
    price_ranges: tuple[PriceStep, ...]


# --- carts -----------------------------------------------------------------------------------------------------------


class CartLine(Dto, frozen=True):
    """
    A line of a cart at the product's current price. It can be bought when the product is active and `available` reaches.
    """

    product_id: Id
    sku: str
    name: str
    quantity: Quantity
    unit_price: Decimal
    line_total: Decimal
    is_active: bool
    available: Count
    added_at: AwareDatetime


class Cart(Dto, frozen=True):
    """
    A cart with its lines in the order they were added; `subtotal` is the sum of the line totals.
    """

    id: Id
    public_id: UUID = Field(repr=False)
    user_id: Id | None
    status: CartStatus
    currency: str
    lines: tuple[CartLine, ...]
    subtotal: Decimal
    created_at: AwareDatetime
    updated_at: AwareDatetime
    expires_at: AwareDatetime
    is_expired: bool


class CartItem(Dto, frozen=True):
    """
    How many units of a product a cart holds after a change.
    """

    cart_id: Id
    product_id: Id
    quantity: Quantity
    added_at: AwareDatetime


class CartItemVerdict(Dto, frozen=True):
    """
    What a statement that changes a line found; quantity is None when it changed nothing.
    """

    cart_id: Id
    cart_status: CartStatus
    product_id: Id | None
    is_active: bool | None
    is_same_currency: bool | None
    quantity: int | None
    added_at: AwareDatetime | None


class LockedCart(Dto, frozen=True):
    """
    A cart locked for the rest of the transaction.
    """

    id: Id
    status: CartStatus
    currency: str


# --- orders and payments ---------------------------------------------------------------------------------------------


class PostalAddress(Input, frozen=True):
    """
    Where a parcel or an invoice goes. An order keeps a copy.
    """

    name: Line = Field(repr=False)
    line1: Line = Field(repr=False)
    line2: Line | None = Field(default=None, repr=False)
    city: Line = Field(repr=False)
    region: Line | None = Field(default=None, repr=False)
    postal_code: Short | None = Field(default=None, repr=False)
    country: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$")] = Field(repr=False)
    phone: Short | None = Field(default=None, repr=False)


class Address(PostalAddress, frozen=True):
    """
    An address in the book of a user.
    """

    id: Id
    user_id: Id
    created_at: AwareDatetime
    updated_at: AwareDatetime


def _as_postal(value: Any) -> Any:
    """
    Take an address of a book for the postal address it is.
    """
    if isinstance(value, Address):
        return {name: found for name, found in vars(value).items() if name in PostalAddress.model_fields}
    return value


Postal = Annotated[PostalAddress, BeforeValidator(_as_postal)]


class OutboxEvent(Dto, frozen=True):
    """
    What happened to an order (`key`), for other systems; `txid` and `id` are its place in the order of reading.
    """

    key: Id
    id: Id
    txid: Count
    topic: str
    payload: dict[str, Any]
    created_at: AwareDatetime


class OrderLine(Dto, frozen=True):
    """
    A line of an order as it was sold: nothing of it follows the product.
    """

    line_no: Id
    product_id: Id
    sku: str
    name: str
    unit_price: Decimal
    quantity: Id
    discount: Decimal
    tax_rate: Decimal
    tax: Decimal
    total: Decimal


class OrderEvent(Dto, frozen=True):
    """
    A step of an order; the first comes from no status.
    """

    seq: Id
    from_status: OrderStatus | None
    to_status: OrderStatus
    actor: str | None
    reason: str | None
    at: AwareDatetime


class Payment(Dto, frozen=True):
    """
    An authorization at a provider and what became of it.
    """

    payment_no: Id
    provider: str
    provider_ref: str = Field(repr=False)
    currency: str
    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def status(self) -> PaymentStatus:
        """
        What the amounts say.
        """
        if self.captured == 0:
            return "authorized" if self.authorized else "voided"
        return "refunded" if self.refunded == self.captured else "captured"


class PaymentEvent(Dto, frozen=True):
    """
    A movement of money, and the amounts of its payment behind it. `replayed`: an earlier call did it, and this is its answer.
    """

    order_id: Id
    seq: Id
    payment_no: Id
    kind: PaymentKind
    amount: Decimal
    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    idempotency_key: str = Field(repr=False)
    actor: str | None
    at: AwareDatetime
    replayed: bool = False


class Order(Dto, frozen=True):
    """
    An order with its lines, payments and events. `replayed`: an earlier call had placed it, and this is its order.
    """

    id: Id
    public_id: UUID = Field(repr=False)
    number: str
    user_id: Id | None
    email: str | None = Field(repr=False)
    status: OrderStatus
    currency: str
    subtotal: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal
    total: Decimal
    prices_include_tax: bool
    ship_to: PostalAddress | None = Field(repr=False)
    bill_to: PostalAddress | None = Field(repr=False)
    source: str | None
    external_ref: str | None
    version: Id
    placed_at: AwareDatetime
    updated_at: AwareDatetime
    lines: tuple[OrderLine, ...]
    payments: tuple[Payment, ...]
    events: tuple[OrderEvent, ...]
    replayed: bool = False


class OrderSummary(Dto, frozen=True):
    """
    An order in a listing.
    """

    id: Id
    number: str
    user_id: Id
    status: OrderStatus
    currency: str
    total: Decimal
    placed_at: AwareDatetime
    updated_at: AwareDatetime


class OrderPreview(Dto, frozen=True):
    """
    What an order of a cart would be now. It can be placed when no line is short and none is archived.
    """

    cart_id: Id
    currency: str
    lines: tuple[CartLine, ...]
    unavailable: tuple[CartLine, ...]
    subtotal: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal
    total: Decimal
    prices_include_tax: bool


class OrderId(Dto, frozen=True):
    """
    Which order it is.
    """

    id: Id


class PlaceableCart(Dto, frozen=True):
    """
    A locked cart that is to become an order.
    """

    id: Id
    status: CartStatus
    is_expired: bool


class ShortLine(Dto, frozen=True):
    """
    A line of which less can be sold than was wanted.
    """

    product_id: Id
    wanted: Count
    available: Count


class PlaceVerdict(Dto, frozen=True):
    """
    What the statement that places an order found; without `placed` it wrote nothing.
    """

    lines: Count
    total: Decimal
    has_contact: bool
    archived: tuple[Id, ...]
    foreign_products: tuple[Id, ...]
    shortages: tuple[ShortLine, ...]
    placed: Order | None


class LockedOrder(Dto, frozen=True):
    """
    An order locked for the rest of the transaction.
    """

    id: Id
    status: OrderStatus
    currency: str


class StepVerdict(Dto, frozen=True):
    """
    Whether an order took a step, from where, and what would be legal.
    """

    from_status: OrderStatus
    version: Id
    is_done: bool
    is_settled: bool
    legal: tuple[OrderStatus, ...]


class PaymentVerdict(Dto, frozen=True):
    """
    What a statement that moves money found; without an answer it wrote nothing.
    """

    order_status: OrderStatus
    is_paid_back: bool
    is_known: bool
    is_same: bool
    due: Decimal
    answer: PaymentEvent | None


class Contents(Dto, frozen=True):
    """
    Whether a database holds rows, and whether they are the demonstration's.
    """

    has_rows: bool
    is_demo: bool


# --- pages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page(Sequence[T], Generic[T]):
    """
    Some rows of a listing and the cursor of the next ones; None when there are no more.
    """

    items: tuple[T, ...]
    next_cursor: str | None

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
