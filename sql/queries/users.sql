-- People who can log in. The password hash comes in through create_users and
-- set_password_hash and goes out through get_credentials alone. Statements on a
-- row that somebody owns carry the scope of the caller behind the primary key.

-- name: create_users(usernames, emails, password_hashes)
-- Create these users and return them in the order given. Inserted in ascending lower(username), so that two batches wait for each
-- other and do not deadlock.
-- row: User
-- Locks: the new rows.
WITH given AS (
    SELECT
        n.username,
        n.email,
        n.password_hash,
        n.position
    FROM unnest(:usernames::text[], :emails::text[], :password_hashes::text[])
        WITH ORDINALITY AS n (username, email, password_hash, position)
),

created AS (
    INSERT INTO store.users (username, email, password_hash)
    SELECT
        g.username,
        g.email,
        g.password_hash
    FROM given AS g
    ORDER BY lower(g.username COLLATE "C") ASC
    RETURNING id, username, email, is_active, created_at, updated_at
)

SELECT
    c.id,
    c.username,
    c.email,
    c.is_active,
    c.created_at,
    c.updated_at
FROM created AS c
INNER JOIN given AS g
    ON g.username = c.username
ORDER BY g.position ASC;

-- name: delete_user(user_id)!
-- Delete a user and, by cascade, their addresses and carts, which hold nothing any more.
-- Locks: the user, after what lock_user_carts, detach_user_orders and release_user_holds have locked in this order.
DELETE FROM store.users AS u
WHERE u.id = :user_id::bigint;

-- name: detach_user_orders(user_id)!
-- Take the orders of a user away from them. Each gets a new secret: the old one is that of its cart, and would open it to
-- whoever knows it, now that no user owns it.
-- Locks: the orders FOR UPDATE (a unique column changes), ascending id, behind the carts that lock_user_carts has locked.
WITH locked AS (
    SELECT o.id
    FROM store.orders AS o
    WHERE o.user_id = :user_id::bigint
    ORDER BY o.id ASC
    FOR UPDATE OF o
)

UPDATE store.orders AS o
SET
    user_id = NULL,
    public_id = gen_random_uuid(),
    updated_at = greatest(now(), o.updated_at + interval '1 microsecond')
FROM locked AS l
WHERE o.id = l.id;

-- name: find_user_by_email(email)^
-- Return the user with this canonical e-mail address.
-- row: User
SELECT
    u.id,
    u.username,
    u.email,
    u.is_active,
    u.created_at,
    u.updated_at
FROM store.users AS u
WHERE u.email = :email::text;

-- name: find_user_by_username(username)^
-- Return the user with this user name, in any case.
-- row: User
-- rows: at most one (users_username_key)
SELECT
    u.id,
    u.username,
    u.email,
    u.is_active,
    u.created_at,
    u.updated_at
FROM store.users AS u
WHERE lower(u.username) = lower(:username::text COLLATE "C");

-- name: get_credentials(login)^
-- Return whose login this is and the hash to verify: the one reader of password hashes.
-- row: Credentials
-- rows: at most one (a user name has no @, an e-mail address has one)
SELECT
    c.password_hash AS "password_hash!",
    u.id,
    u.username,
    u.email,
    u.is_active,
    u.created_at,
    u.updated_at
FROM store.credentials(:login::text) AS c
INNER JOIN store.users AS u
    ON u.id = c.user_id;

-- name: get_user(user_id, scope, scope_user_id)^
-- Return one user.
-- row: User
-- null: scope_user_id
SELECT
    u.id,
    u.username,
    u.email,
    u.is_active,
    u.created_at,
    u.updated_at
FROM store.users AS u
WHERE
    u.id = :user_id::bigint
    AND store.in_scope(u.id, NULL, :scope::text, :scope_user_id::bigint, NULL);

-- name: get_users(user_ids)
-- Return these users.
-- row: User
SELECT
    u.id,
    u.username,
    u.email,
    u.is_active,
    u.created_at,
    u.updated_at
FROM store.users AS u
WHERE u.id = ANY(:user_ids::bigint[]);

-- name: list_users(after_id, page_size)
-- Return a page of users by id, and one row more when there is a next page.
-- row: User
SELECT
    u.id,
    u.username,
    u.email,
    u.is_active,
    u.created_at,
    u.updated_at
FROM store.users AS u
WHERE u.id > :after_id::bigint
ORDER BY u.id ASC
LIMIT least(:page_size::bigint, 200) + 1;

-- name: lock_user_carts(user_id)
-- Lock the carts of a user who is to be deleted, so that nothing is held or ordered for them any more.
-- row: LockedCart
-- Locks: the carts FOR UPDATE, ascending id.
SELECT
    c.id,
    c.status,
    c.currency
FROM store.carts AS c
WHERE c.user_id = :user_id::bigint
ORDER BY c.id ASC
FOR UPDATE OF c;

-- name: rehash_password(user_id, password_hash, expected_updated_at)!
-- Replace the hash of a password by a stronger one of the same password, unless the user was changed since it was verified.
-- Locks: the user.
UPDATE store.users AS u
SET password_hash = :password_hash::text
WHERE
    u.id = :user_id::bigint
    AND u.updated_at = :expected_updated_at::timestamptz;

-- name: release_user_holds(user_id)!
-- Give back what the locked carts of a user hold.
-- Locks: store.inventory, ascending product_id, then the holds, of carts that lock_user_carts has locked.
WITH locked AS (
    SELECT
        i.product_id,
        i.on_hand,
        i.reserved
    FROM store.inventory AS i
    WHERE i.product_id IN (
        SELECT r.product_id
        FROM store.carts AS c
        INNER JOIN store.reservations AS r
            ON r.cart_id = c.id
        WHERE c.user_id = :user_id::bigint
    )
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
    WHERE r.cart_id IN (SELECT c.id FROM store.carts AS c WHERE c.user_id = :user_id::bigint)
    ORDER BY r.product_id ASC, r.cart_id ASC
    FOR UPDATE OF r
),

released AS (
    DELETE FROM store.reservations AS r
    USING held AS h
    WHERE
        r.cart_id = h.cart_id
        AND r.product_id = h.product_id
)

UPDATE store.inventory AS i
SET
    on_hand = l.on_hand,
    reserved = l.reserved - h.quantity
FROM locked AS l
INNER JOIN (
    SELECT
        t.product_id,
        sum(t.quantity) AS quantity
    FROM held AS t
    GROUP BY t.product_id
) AS h
    ON h.product_id = l.product_id
WHERE i.product_id = l.product_id;

-- name: set_password_hash(user_id, password_hash, scope, scope_user_id)!
-- Replace the password hash of a user.
-- null: scope_user_id
-- Locks: the user.
UPDATE store.users AS u
SET
    password_hash = :password_hash::text,
    updated_at = greatest(now(), u.updated_at + interval '1 microsecond')
WHERE
    u.id = :user_id::bigint
    AND store.in_scope(u.id, NULL, :scope::text, :scope_user_id::bigint, NULL);

-- name: update_user(user_id, username, email, is_active, expected_updated_at, scope, scope_user_id)^
-- Change what is given and keep the rest; nothing when the row is not as old as expected.
-- row: User
-- null: username, email, is_active, expected_updated_at, scope_user_id
-- Locks: the user.
UPDATE store.users AS u
SET
    username = coalesce(:username::text, u.username),
    email = coalesce(:email::text, u.email),
    is_active = coalesce(:is_active::boolean, u.is_active),
    updated_at = greatest(now(), u.updated_at + interval '1 microsecond')
WHERE
    u.id = :user_id::bigint
    AND u.updated_at = coalesce(:expected_updated_at::timestamptz, u.updated_at)
    AND store.in_scope(u.id, NULL, :scope::text, :scope_user_id::bigint, NULL)
RETURNING u.id, u.username, u.email, u.is_active, u.created_at, u.updated_at;
