-- What OAuth 2 and OpenID Connect remember.
-- +goose Up

-- Times are in microseconds since 1970, 0 for none; truths are 0 and 1; lists are JSON.
-- mark is the random number of the call that wrote the row last, by which a call that
-- is repeated knows what it did before. kept_until is when Purge looks at a row, the
-- largest integer for never.
--
-- The network comes first in the primary keys alone. A database that has not counted its
-- rows yet could take any index that begins with it for as good as the key.

CREATE TABLE oauth_client (
	network INTEGER NOT NULL,
	id      TEXT    NOT NULL,
	version INTEGER NOT NULL,
	owner   TEXT    NOT NULL,
	name    TEXT    NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	mark    BLOB    NOT NULL,
	data    BLOB    NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX oauth_client_by_owner ON oauth_client (owner, network, id);
CREATE INDEX oauth_client_by_name ON oauth_client (name, network, id);

-- A family of tokens. Revoking it is this one row.
CREATE TABLE oauth_grant (
	network    INTEGER NOT NULL,
	id         TEXT    NOT NULL,
	client     TEXT    NOT NULL,
	subject    TEXT    NOT NULL,
	login_id   TEXT    NOT NULL,
	scopes     TEXT    NOT NULL,
	audience   TEXT    NOT NULL,
	remember   INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	revoked    INTEGER NOT NULL,
	kept_until INTEGER NOT NULL,
	mark       BLOB    NOT NULL,
	data       BLOB    NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX oauth_grant_by_subject ON oauth_grant (subject, network, created, id);
CREATE INDEX oauth_grant_by_client ON oauth_grant (client, network, created, id);
CREATE INDEX oauth_grant_by_login ON oauth_grant (login_id, network) WHERE login_id <> '';
CREATE INDEX oauth_grant_remembered ON oauth_grant (subject, client, network, created, id) WHERE remember = 1;
CREATE INDEX oauth_grant_by_kept ON oauth_grant (kept_until, network);

-- polled is when the token was asked about last, polled_before when before that. pause is
-- the least time between the two.
CREATE TABLE oauth_token (
	network       INTEGER NOT NULL,
	kind          TEXT    NOT NULL,
	hash          BLOB    NOT NULL,
	alias         BLOB    NOT NULL,
	grant_id      TEXT    NOT NULL,
	client        TEXT    NOT NULL,
	subject       TEXT    NOT NULL,
	state         TEXT    NOT NULL,
	created       INTEGER NOT NULL,
	expires       INTEGER NOT NULL,
	used          INTEGER NOT NULL,
	polled        INTEGER NOT NULL,
	polled_before INTEGER NOT NULL,
	pause         INTEGER NOT NULL,
	kept_until    INTEGER NOT NULL,
	mark          BLOB    NOT NULL,
	data          BLOB    NOT NULL,
	PRIMARY KEY (network, kind, hash)
);
CREATE INDEX oauth_token_by_grant ON oauth_token (grant_id, network, kind) WHERE grant_id <> '';
CREATE INDEX oauth_token_by_client ON oauth_token (client, network);
CREATE INDEX oauth_token_by_kept ON oauth_token (kept_until, network);

-- The few tokens that have a second name.
CREATE TABLE oauth_alias (
	network    INTEGER NOT NULL,
	kind       TEXT    NOT NULL,
	alias      BLOB    NOT NULL,
	hash       BLOB    NOT NULL,
	kept_until INTEGER NOT NULL,
	PRIMARY KEY (network, kind, alias)
) WITHOUT ROWID;
CREATE INDEX oauth_alias_by_kept ON oauth_alias (kept_until, network);

-- A row stays for a while after the login has ended, so that it is not begun anew by
-- a request that was on its way.
CREATE TABLE oauth_login (
	network       INTEGER NOT NULL,
	id            TEXT    NOT NULL,
	subject       TEXT    NOT NULL,
	authenticated INTEGER NOT NULL,
	remember      INTEGER NOT NULL,
	expires       INTEGER NOT NULL,
	ended         INTEGER NOT NULL,
	kept_until    INTEGER NOT NULL,
	mark          BLOB    NOT NULL,
	data          BLOB    NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX oauth_login_by_subject ON oauth_login (subject, network);
CREATE INDEX oauth_login_by_kept ON oauth_login (kept_until, network);

-- What changes a set of keys changes its row here first, and so comes before or after
-- all others that do.
CREATE TABLE oauth_key_set (
	network  INTEGER NOT NULL,
	set_name TEXT    NOT NULL,
	changes  INTEGER NOT NULL,
	PRIMARY KEY (network, set_name)
) WITHOUT ROWID;

CREATE TABLE oauth_key (
	network  INTEGER NOT NULL,
	set_name TEXT    NOT NULL,
	id       TEXT    NOT NULL,
	created  INTEGER NOT NULL,
	active   INTEGER NOT NULL,
	mark     BLOB    NOT NULL,
	data     BLOB    NOT NULL,
	PRIMARY KEY (network, set_name, id)
);

CREATE TABLE oauth_issuer (
	network INTEGER NOT NULL,
	id      TEXT    NOT NULL,
	issuer  TEXT    NOT NULL,
	subject TEXT    NOT NULL,
	key_id  TEXT    NOT NULL,
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	mark    BLOB    NOT NULL,
	data    BLOB    NOT NULL,
	PRIMARY KEY (network, id),
	UNIQUE (issuer, network, subject, key_id)
);

-- taker is the mark of who has it until it is due again.
CREATE TABLE oauth_delivery (
	network INTEGER NOT NULL,
	id      TEXT    NOT NULL,
	created INTEGER NOT NULL,
	due     INTEGER NOT NULL,
	tries   INTEGER NOT NULL,
	taker   BLOB    NOT NULL,
	data    BLOB    NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX oauth_delivery_by_due ON oauth_delivery (due, network);
