-- Who may do what with which column, whole: everything is taken away first, so
-- that this file is the answer. Run it after `store migrate up`, by whoever owns
-- the schema (store_migrator, or an administrator); running it again changes
-- nothing. store_app is one of those who may not see a password hash:
-- store.credentials() is the one way to it.

BEGIN;

REVOKE ALL ON SCHEMA store FROM PUBLIC, store_app, store_readonly;
REVOKE ALL ON ALL TABLES IN SCHEMA store FROM PUBLIC, store_app, store_readonly;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA store FROM PUBLIC, store_app, store_readonly;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA store FROM PUBLIC, store_app, store_readonly;

GRANT USAGE ON SCHEMA store TO store_app, store_readonly;

GRANT EXECUTE ON FUNCTION
    store.fits_currency(numeric, text),
    store.in_scope(bigint, uuid, text, bigint, uuid),
    store.is_blank(text),
    store.is_printable(jsonb),
    store.is_printable(text),
    store.line_total(integer, numeric, numeric, text),
    store.minor_units(text),
    store.order_number(bigint),
    store.order_payload(bigint, integer, text, numeric, text),
    store.schema_version(),
    store.sellable(bigint, integer, integer)
TO store_app, store_readonly;
GRANT EXECUTE ON FUNCTION store.credentials(text) TO store_app;

-- users

GRANT
    SELECT (id, username, email, is_active, created_at, updated_at),
    INSERT (username, email, password_hash),
    UPDATE (username, email, password_hash, is_active, updated_at),
    DELETE
ON store.users TO store_app;
GRANT SELECT (id, username, email, is_active, created_at, updated_at) ON store.users TO store_readonly;

-- catalog

GRANT
    SELECT,
    INSERT (sku, name, description, price, currency, is_active),
    UPDATE (sku, name, description, price, is_active, updated_at),
    DELETE
ON store.products TO store_app;
GRANT
    SELECT,
    INSERT (product_id, on_hand),
    UPDATE (on_hand, reserved)
ON store.inventory TO store_app;
GRANT SELECT ON store.products, store.inventory TO store_readonly;

-- carts

GRANT
    SELECT,
    INSERT (user_id, currency),
    UPDATE (status, updated_at, expires_at)
ON store.carts TO store_app;
GRANT
    SELECT,
    INSERT (cart_id, product_id, quantity, added_at),
    UPDATE (quantity),
    DELETE
ON store.cart_items TO store_app;
GRANT SELECT (id, user_id, status, currency, created_at, updated_at, expires_at) ON store.carts TO store_readonly;
GRANT SELECT ON store.cart_items TO store_readonly;

-- stock: nobody changes or deletes a movement

GRANT
    SELECT,
    INSERT (product_id, kind, quantity, on_hand_after, order_id, reason, actor, created_at)
ON store.stock_movements TO store_app;
GRANT
    SELECT,
    INSERT (cart_id, product_id, quantity, expires_at),
    UPDATE (expires_at),
    DELETE
ON store.reservations TO store_app;
GRANT SELECT ON store.stock_movements, store.reservations TO store_readonly;

-- orders: lines and events are written once

GRANT
    SELECT,
    INSERT (
        id, public_id, user_id, email, status, currency, subtotal, total, ship_to, bill_to, source, external_ref, version,
        placed_at
    ),
    UPDATE (public_id, user_id, status, version, updated_at)
ON store.orders TO store_app;
GRANT
    SELECT,
    INSERT (order_id, line_no, product_id, sku, name, quantity, unit_price, total)
ON store.order_items TO store_app;
GRANT
    SELECT,
    INSERT (order_id, seq, from_status, to_status, at, actor, reason)
ON store.order_events TO store_app;
GRANT SELECT ON store.order_transitions TO store_app;
GRANT
    SELECT (
        id, number, user_id, email, status, currency, subtotal, discount, shipping, tax, total, prices_include_tax,
        ship_to, bill_to, source, external_ref, version, placed_at, updated_at
    )
ON store.orders TO store_readonly;
GRANT SELECT ON store.order_items, store.order_events, store.order_transitions TO store_readonly;

-- payments

GRANT
    SELECT,
    INSERT (order_id, payment_no, provider, provider_ref, currency, authorized, captured, created_at),
    UPDATE (authorized, captured, refunded, updated_at)
ON store.payments TO store_app;
GRANT
    SELECT,
    INSERT (order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key, actor, at)
ON store.payment_events TO store_app;
GRANT SELECT ON store.payments, store.payment_events TO store_readonly;

-- outbox

GRANT
    SELECT,
    INSERT (key, topic, payload),
    UPDATE (claimed_until, acknowledged_at),
    DELETE
ON store.outbox TO store_app;
GRANT SELECT ON store.outbox TO store_readonly;

-- addresses

GRANT
    SELECT,
    INSERT (user_id, name, line1, line2, city, region, postal_code, country, phone),
    UPDATE (name, line1, line2, city, region, postal_code, country, phone, updated_at),
    DELETE
ON store.addresses TO store_app;
GRANT SELECT ON store.addresses TO store_readonly;

-- imports

GRANT
    SELECT,
    INSERT (import_id, line, sku, name, description, price, currency, is_active, on_hand),
    DELETE
ON store.product_imports TO store_app;
GRANT
    SELECT,
    INSERT (import_id, line, invoice, is_cancellation, customer, placed_at, sku, name, quantity, unit_price),
    UPDATE (verdict, line_no, turn),
    DELETE
ON store.order_imports TO store_app;
GRANT
    SELECT,
    INSERT (source, customer, order_id)
ON store.imported_orders TO store_app;
GRANT
    SELECT,
    INSERT (source, external_ref, line_no, order_id, product_id, quantity, amount, cancelled_at)
ON store.imported_cancellations TO store_app;
GRANT SELECT ON store.imported_orders, store.imported_cancellations TO store_readonly;
-- An order without a cart draws its id from where carts do.
GRANT USAGE ON SEQUENCE store.carts_id_seq TO store_app;

-- state of the migrations: `store migrate status` and `plan` for whoever only reads

REVOKE ALL ON SCHEMA store_migrations FROM PUBLIC, store_app, store_readonly;
REVOKE ALL ON ALL TABLES IN SCHEMA store_migrations FROM PUBLIC, store_app, store_readonly;
GRANT USAGE ON SCHEMA store_migrations TO store_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA store_migrations TO store_readonly;

COMMIT;
