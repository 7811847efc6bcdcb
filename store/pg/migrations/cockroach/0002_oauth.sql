-- What OAuth 2 and OpenID Connect remember. Each statement can be repeated, since they
-- do not run in one transaction.
-- +goose NO TRANSACTION
-- +goose Up

-- Times are in microseconds since 1970, 0 for none; truths are 0 and 1; lists are JSON.
-- mark is the random number of the call that wrote the row last, by which a call that
-- is repeated knows what it did before. kept_until is when Purge looks at a row, the
-- largest integer for never.
--
-- The network comes first in the primary keys alone. A database that has not counted its
-- rows yet could take any index that begins with it for as good as the key.

CREATE TABLE IF NOT EXISTS oauth_client (
	network INT8  NOT NULL,
	id      TEXT  NOT NULL,
	version INT8  NOT NULL,
	owner   TEXT  NOT NULL,
	name    TEXT  NOT NULL,
	created INT8  NOT NULL,
	updated INT8  NOT NULL,
	mark    BYTES NOT NULL,
	data    BYTES NOT NULL,
	PRIMARY KEY (network, id),
	INDEX oauth_client_by_owner (owner, network, id),
	INDEX oauth_client_by_name (name, network, id)
);

-- A family of tokens. Revoking it is this one row.
CREATE TABLE IF NOT EXISTS oauth_grant (
	network    INT8  NOT NULL,
	id         TEXT  NOT NULL,
	client     TEXT  NOT NULL,
	subject    TEXT  NOT NULL,
	login_id   TEXT  NOT NULL,
	scopes     TEXT  NOT NULL,
	audience   TEXT  NOT NULL,
	remember   INT8  NOT NULL,
	created    INT8  NOT NULL,
	expires    INT8  NOT NULL,
	revoked    INT8  NOT NULL,
	kept_until INT8  NOT NULL,
	mark       BYTES NOT NULL,
	data       BYTES NOT NULL,
	PRIMARY KEY (network, id),
	INDEX oauth_grant_by_subject (subject, network, created, id),
	INDEX oauth_grant_by_client (client, network, created, id),
	INDEX oauth_grant_by_login (login_id, network),
	INDEX oauth_grant_remembered (subject, client, network, remember, created, id),
	INDEX oauth_grant_by_kept (kept_until, network)
);

-- polled is when the token was asked about last, polled_before when before that. pause is
-- the least time between the two.
CREATE TABLE IF NOT EXISTS oauth_token (
	network       INT8  NOT NULL,
	kind          TEXT  NOT NULL,
	hash          BYTES NOT NULL,
	alias         BYTES NOT NULL,
	grant_id      TEXT  NOT NULL,
	client        TEXT  NOT NULL,
	subject       TEXT  NOT NULL,
	state         TEXT  NOT NULL,
	created       INT8  NOT NULL,
	expires       INT8  NOT NULL,
	used          INT8  NOT NULL,
	polled        INT8  NOT NULL,
	polled_before INT8  NOT NULL,
	pause         INT8  NOT NULL,
	kept_until    INT8  NOT NULL,
	mark          BYTES NOT NULL,
	data          BYTES NOT NULL,
	PRIMARY KEY (network, kind, hash),
	INDEX oauth_token_by_grant (grant_id, network, kind),
	INDEX oauth_token_by_client (client, network),
	INDEX oauth_token_by_kept (kept_until, network)
);

-- The few tokens that have a second name.
CREATE TABLE IF NOT EXISTS oauth_alias (
	network    INT8  NOT NULL,
	kind       TEXT  NOT NULL,
	alias      BYTES NOT NULL,
	hash       BYTES NOT NULL,
	kept_until INT8  NOT NULL,
	PRIMARY KEY (network, kind, alias),
	INDEX oauth_alias_by_kept (kept_until, network)
);

-- A row stays for a while after the login has ended, so that it is not begun anew by
-- a request that was on its way.
CREATE TABLE IF NOT EXISTS oauth_login (
	network       INT8  NOT NULL,
	id            TEXT  NOT NULL,
	subject       TEXT  NOT NULL,
	authenticated INT8  NOT NULL,
	remember      INT8  NOT NULL,
	expires       INT8  NOT NULL,
	ended         INT8  NOT NULL,
	kept_until    INT8  NOT NULL,
	mark          BYTES NOT NULL,
	data          BYTES NOT NULL,
	PRIMARY KEY (network, id),
	INDEX oauth_login_by_subject (subject, network),
	INDEX oauth_login_by_kept (kept_until, network)
);

-- What changes a set of keys changes its row here first, and so comes before or after
-- all others that do.
CREATE TABLE IF NOT EXISTS oauth_key_set (
	network  INT8  NOT NULL,
	set_name TEXT  NOT NULL,
	changes  INT8  NOT NULL,
	PRIMARY KEY (network, set_name)
);

CREATE TABLE IF NOT EXISTS oauth_key (
	network  INT8  NOT NULL,
	set_name TEXT  NOT NULL,
	id       TEXT  NOT NULL,
	created  INT8  NOT NULL,
	active   INT8  NOT NULL,
	mark     BYTES NOT NULL,
	data     BYTES NOT NULL,
	PRIMARY KEY (network, set_name, id)
);

CREATE TABLE IF NOT EXISTS oauth_issuer (
	network INT8  NOT NULL,
	id      TEXT  NOT NULL,
	issuer  TEXT  NOT NULL,
	subject TEXT  NOT NULL,
	key_id  TEXT  NOT NULL,
	created INT8  NOT NULL,
	expires INT8  NOT NULL,
	mark    BYTES NOT NULL,
	data    BYTES NOT NULL,
	PRIMARY KEY (network, id),
	UNIQUE (issuer, network, subject, key_id)
);

-- taker is the mark of who has it until it is due again.
CREATE TABLE IF NOT EXISTS oauth_delivery (
	network INT8  NOT NULL,
	id      TEXT  NOT NULL,
	created INT8  NOT NULL,
	due     INT8  NOT NULL,
	tries   INT8  NOT NULL,
	taker   BYTES NOT NULL,
	data    BYTES NOT NULL,
	PRIMARY KEY (network, id),
	INDEX oauth_delivery_by_due (due, network)
);
