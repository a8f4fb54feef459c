-- Carts and their lines. Who changes lines locks the cart and tests its status: a
-- line is in the order or refused, never lost. A statement may lock the cart and add
-- a line by itself; who reads or removes lines locks the cart in a statement before,
-- because one statement does not see what was committed while it waited. Statements on a cart carry the scope of the caller behind its key.
-- available is what can be sold, and what the cart itself holds.

-- name: add_cart_item(cart_id, product_id, quantity, scope, scope_user_id, scope_public_id)^
-- Add units of a product to a cart, to its line when it has one.
-- No row: no such cart. A row without an item says why: the cart is not open, the product is archived or sold in another currency.
-- row: CartItemVerdict
-- null: scope_user_id, scope_public_id
-- Locks: the cart FOR NO KEY UPDATE, so that lines do not change while it is ordered or merged.
WITH cart AS (
    SELECT
        c.id,
        c.status,
        c.currency
    FROM store.carts AS c
    WHERE
        c.id = :cart_id::bigint
        AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
    FOR NO KEY UPDATE OF c
),

product AS (
    SELECT
        p.id,
        p.is_active,
        p.currency
    FROM store.products AS p
    WHERE p.id = :product_id::bigint
),

item AS (
    INSERT INTO store.cart_items AS ci (cart_id, product_id, quantity)
    SELECT
        cart.id,
        product.id,
        :quantity::bigint
    FROM cart
    INNER JOIN product
        ON product.currency = cart.currency
    WHERE
        cart.status = 'open'
        AND product.is_active
    ON CONFLICT (cart_id, product_id) DO UPDATE
    SET quantity = ci.quantity + excluded.quantity
    RETURNING ci.cart_id, ci.product_id, ci.quantity, ci.added_at
),

touched AS (
    UPDATE store.carts AS c
    SET
        updated_at = greatest(now(), c.updated_at + interval '1 microsecond'),
        expires_at = greatest(now() + interval '30 days', c.expires_at)
    FROM item AS t
    WHERE c.id = t.cart_id
)

SELECT
    cart.id AS cart_id,
    cart.status AS cart_status,
    product.id AS product_id,
    product.is_active,
    item.quantity,
    item.added_at
FROM cart
LEFT JOIN product
    ON true
LEFT JOIN item
    ON true;

-- name: clear_cart_items(cart_id, scope, scope_user_id, scope_public_id)!
-- Remove every line of a locked cart.
-- null: scope_user_id, scope_public_id
-- Locks: the lines, in a cart that lock_cart has locked in a statement before: this one then sees every line committed until now.
WITH touched AS (
    UPDATE store.carts AS c
    SET
        updated_at = greatest(now(), c.updated_at + interval '1 microsecond'),
        expires_at = greatest(now() + interval '30 days', c.expires_at)
    WHERE
        c.id = :cart_id::bigint
        AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
    RETURNING c.id
)

DELETE FROM store.cart_items AS ci
USING touched
WHERE ci.cart_id = touched.id;

-- name: create_guest_cart(currency)^
-- Create a cart that belongs to whoever holds its public_id.
-- row: Cart
-- Locks: the new row.
INSERT INTO store.carts AS c (currency)
VALUES (:currency::text)
RETURNING
    c.id,
    c.public_id,
    c.user_id,
    c.status,
    c.currency,
    '[]'::json AS lines,
    0::numeric AS subtotal,
    c.created_at,
    c.updated_at,
    c.expires_at,
    false AS is_expired;

-- name: get_cart_by_public_id(public_id, scope, scope_user_id, scope_public_id)^
-- Return a cart with its lines at current prices and its subtotal.
-- row: Cart
-- null: scope_user_id, scope_public_id
SELECT
    c.id,
    c.public_id,
    c.user_id,
    c.status,
    c.currency,
    l.lines,
    l.subtotal,
    c.created_at,
    c.updated_at,
    c.expires_at,
    c.expires_at <= now() AS is_expired
FROM store.carts AS c
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            json_agg(
                json_build_object(
                    'product_id', ci.product_id,
                    'sku', p.sku,
                    'name', p.name,
                    'quantity', ci.quantity,
                    'unit_price', p.price::text,
                    'line_total', store.line_total(ci.quantity, p.price, 0, c.currency)::text,
                    'is_active', p.is_active,
                    'available', s.available + coalesce(r.quantity, 0),
                    'added_at', ci.added_at
                )
                ORDER BY ci.added_at ASC, ci.product_id ASC
            ),
            '[]'::json
        ) AS lines,
        coalesce(sum(store.line_total(ci.quantity, p.price, 0, c.currency)), 0) AS subtotal
    FROM store.cart_items AS ci
    INNER JOIN store.products AS p
        ON p.id = ci.product_id
    LEFT JOIN store.inventory AS i
        ON i.product_id = ci.product_id
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
    LEFT JOIN store.reservations AS r
        ON
            r.cart_id = c.id
            AND r.product_id = ci.product_id
            AND r.expires_at > now()
    WHERE ci.cart_id = c.id
) AS l
WHERE
    c.public_id = :public_id::uuid
    AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid);

-- name: get_carts(cart_ids, scope, scope_user_id, scope_public_id)
-- Return these carts with their lines at current prices and their subtotals.
-- row: Cart
-- null: scope_user_id, scope_public_id
SELECT
    c.id,
    c.public_id,
    c.user_id,
    c.status,
    c.currency,
    l.lines,
    l.subtotal,
    c.created_at,
    c.updated_at,
    c.expires_at,
    c.expires_at <= now() AS is_expired
FROM store.carts AS c
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            json_agg(
                json_build_object(
                    'product_id', ci.product_id,
                    'sku', p.sku,
                    'name', p.name,
                    'quantity', ci.quantity,
                    'unit_price', p.price::text,
                    'line_total', store.line_total(ci.quantity, p.price, 0, c.currency)::text,
                    'is_active', p.is_active,
                    'available', s.available + coalesce(r.quantity, 0),
                    'added_at', ci.added_at
                )
                ORDER BY ci.added_at ASC, ci.product_id ASC
            ),
            '[]'::json
        ) AS lines,
        coalesce(sum(store.line_total(ci.quantity, p.price, 0, c.currency)), 0) AS subtotal
    FROM store.cart_items AS ci
    INNER JOIN store.products AS p
        ON p.id = ci.product_id
    LEFT JOIN store.inventory AS i
        ON i.product_id = ci.product_id
    CROSS JOIN LATERAL store.sellable(i.product_id, i.on_hand, i.reserved) AS s
    LEFT JOIN store.reservations AS r
        ON
            r.cart_id = c.id
            AND r.product_id = ci.product_id
            AND r.expires_at > now()
    WHERE ci.cart_id = c.id
) AS l
WHERE
    c.id = ANY(:cart_ids::bigint[])
    AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid);

-- name: get_or_create_cart(user_id, currency, scope, scope_user_id, scope_public_id)^
-- Return the open cart of a user, made or renewed as needed; DO UPDATE, because DO NOTHING returns no row beside a concurrent insert.
-- No row: no such user.
-- row: LockedCart
-- null: scope_user_id, scope_public_id
-- Locks: the cart.
INSERT INTO store.carts AS c (user_id, currency)
SELECT
    u.id,
    :currency::text
FROM store.users AS u
WHERE
    u.id = :user_id::bigint
    AND store.in_scope(u.id, NULL, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
ON CONFLICT (user_id) WHERE status = 'open' DO UPDATE
SET expires_at = greatest(excluded.expires_at, c.expires_at)
RETURNING c.id, c.status, c.currency;

-- name: lock_cart(cart_id, scope, scope_user_id, scope_public_id)^
-- Lock a cart for the rest of the transaction and return it.
-- row: LockedCart
-- null: scope_user_id, scope_public_id
-- Locks: the cart FOR NO KEY UPDATE.
SELECT
    c.id,
    c.status,
    c.currency
FROM store.carts AS c
WHERE
    c.id = :cart_id::bigint
    AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
FOR NO KEY UPDATE OF c;

-- name: lock_guest_cart(public_id)^
-- Lock the cart of a guest and return it; a cart that has a user is not a guest's.
-- row: LockedCart
-- Locks: the cart FOR NO KEY UPDATE.
SELECT
    c.id,
    c.status,
    c.currency
FROM store.carts AS c
WHERE
    c.public_id = :public_id::uuid
    AND c.user_id IS NULL
FOR NO KEY UPDATE OF c;

-- name: merge_cart_items(source_id, target_id, strategy)!
-- Move the lines of one locked cart into another, capped at what a line holds, mark the first merged and give back what it holds.
-- Locks: the lines of both carts, in carts that are locked already, store.inventory, ascending product_id, the holds, then the
-- first cart.
WITH moved AS (
    DELETE FROM store.cart_items AS ci
    WHERE ci.cart_id = :source_id::bigint
    RETURNING ci.product_id, ci.quantity, ci.added_at
),

received AS (
    INSERT INTO store.cart_items AS ci (cart_id, product_id, quantity, added_at)
    SELECT
        :target_id::bigint AS cart_id,
        m.product_id,
        m.quantity,
        m.added_at
    FROM moved AS m
    ON CONFLICT (cart_id, product_id) DO UPDATE
    SET
        quantity = CASE :strategy::text
            WHEN 'sum' THEN least(ci.quantity + excluded.quantity, 9999)
            WHEN 'max' THEN greatest(ci.quantity, excluded.quantity)
            WHEN 'keep_guest' THEN excluded.quantity
            ELSE ci.quantity
        END
),

locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id IN (SELECT r.product_id FROM store.reservations AS r WHERE r.cart_id = :source_id::bigint)
    ORDER BY i.product_id ASC
    FOR NO KEY UPDATE OF i
),

held AS (
    SELECT
        r.cart_id,
        r.product_id,
        r.quantity
    FROM locked AS l
    INNER JOIN store.reservations AS r
        ON r.product_id = l.product_id
    WHERE r.cart_id = :source_id::bigint
    ORDER BY r.product_id ASC
    FOR UPDATE OF r
),

released AS (
    DELETE FROM store.reservations AS r
    USING held AS h
    WHERE
        r.cart_id = h.cart_id
        AND r.product_id = h.product_id
),

returned AS (
    UPDATE store.inventory AS i
    SET
        on_hand = l.on_hand,
        reserved = l.reserved - h.quantity
    FROM locked AS l
    INNER JOIN held AS h
        ON h.product_id = l.product_id
    WHERE i.product_id = l.product_id
)

UPDATE store.carts AS c
SET
    status = 'merged',
    updated_at = greatest(now(), c.updated_at + interval '1 microsecond')
WHERE c.id = :source_id::bigint;

-- name: remove_cart_item(cart_id, product_id, scope, scope_user_id, scope_public_id)!
-- Remove the line of a product from a locked cart.
-- null: scope_user_id, scope_public_id
-- Locks: the lines, in a cart that lock_cart has locked in a statement before: this one then sees every line committed until now.
WITH touched AS (
    UPDATE store.carts AS c
    SET
        updated_at = greatest(now(), c.updated_at + interval '1 microsecond'),
        expires_at = greatest(now() + interval '30 days', c.expires_at)
    WHERE
        c.id = :cart_id::bigint
        AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
    RETURNING c.id
)

DELETE FROM store.cart_items AS ci
USING touched
WHERE
    ci.cart_id = touched.id
    AND ci.product_id = :product_id::bigint;

-- name: set_cart_item(cart_id, product_id, quantity, scope, scope_user_id, scope_public_id)^
-- Set how many units of a product a cart holds.
-- No row: no such cart. A row without an item says why: the cart is not open, the product is archived or sold in another currency.
-- row: CartItemVerdict
-- null: scope_user_id, scope_public_id
-- Locks: the cart FOR NO KEY UPDATE, so that lines do not change while it is ordered or merged.
WITH cart AS (
    SELECT
        c.id,
        c.status,
        c.currency
    FROM store.carts AS c
    WHERE
        c.id = :cart_id::bigint
        AND store.in_scope(c.user_id, c.public_id, :scope::text, :scope_user_id::bigint, :scope_public_id::uuid)
    FOR NO KEY UPDATE OF c
),

product AS (
    SELECT
        p.id,
        p.is_active,
        p.currency
    FROM store.products AS p
    WHERE p.id = :product_id::bigint
),

item AS (
    INSERT INTO store.cart_items AS ci (cart_id, product_id, quantity)
    SELECT
        cart.id,
        product.id,
        :quantity::bigint
    FROM cart
    INNER JOIN product
        ON product.currency = cart.currency
    WHERE
        cart.status = 'open'
        AND product.is_active
    ON CONFLICT (cart_id, product_id) DO UPDATE
    SET quantity = excluded.quantity
    RETURNING ci.cart_id, ci.product_id, ci.quantity, ci.added_at
),

touched AS (
    UPDATE store.carts AS c
    SET
        updated_at = greatest(now(), c.updated_at + interval '1 microsecond'),
        expires_at = greatest(now() + interval '30 days', c.expires_at)
    FROM item AS t
    WHERE c.id = t.cart_id
)

SELECT
    cart.id AS cart_id,
    cart.status AS cart_status,
    product.id AS product_id,
    product.is_active,
    item.quantity,
    item.added_at
FROM cart
LEFT JOIN product
    ON true
LEFT JOIN item
    ON true;
