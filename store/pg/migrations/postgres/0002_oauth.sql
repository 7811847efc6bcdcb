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
	network int              NOT NULL,
	id      text COLLATE "C" NOT NULL,
	version bigint           NOT NULL,
	owner   text COLLATE "C" NOT NULL,
	name    text COLLATE "C" NOT NULL,
	created bigint           NOT NULL,
	updated bigint           NOT NULL,
	mark    bytea            NOT NULL,
	data    bytea            NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX oauth_client_by_owner ON oauth_client (owner, network, id);
CREATE INDEX oauth_client_by_name ON oauth_client (name, network, id);

-- A family of tokens. Revoking it is this one row.
CREATE TABLE oauth_grant (
	network    int              NOT NULL,
	id         text COLLATE "C" NOT NULL,
	client     text COLLATE "C" NOT NULL,
	subject    text COLLATE "C" NOT NULL,
	login_id   text COLLATE "C" NOT NULL,
	scopes     text COLLATE "C" NOT NULL,
	audience   text COLLATE "C" NOT NULL,
	remember   int              NOT NULL,
	created    bigint           NOT NULL,
	expires    bigint           NOT NULL,
	revoked    bigint           NOT NULL,
	kept_until bigint           NOT NULL,
	mark       bytea            NOT NULL,
	data       bytea            NOT NULL,
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
	network       int              NOT NULL,
	kind          text COLLATE "C" NOT NULL,
	hash          bytea            NOT NULL,
	alias         bytea            NOT NULL,
	grant_id      text COLLATE "C" NOT NULL,
	client        text COLLATE "C" NOT NULL,
	subject       text COLLATE "C" NOT NULL,
	state         text COLLATE "C" NOT NULL,
	created       bigint           NOT NULL,
	expires       bigint           NOT NULL,
	used          bigint           NOT NULL,
	polled        bigint           NOT NULL,
	polled_before bigint           NOT NULL,
	pause         bigint           NOT NULL,
	kept_until    bigint           NOT NULL,
	mark          bytea            NOT NULL,
	data          bytea            NOT NULL,
	PRIMARY KEY (network, kind, hash)
);
CREATE INDEX oauth_token_by_grant ON oauth_token (grant_id, network, kind) WHERE grant_id <> '';
CREATE INDEX oauth_token_by_client ON oauth_token (client, network);
CREATE INDEX oauth_token_by_kept ON oauth_token (kept_until, network);

-- The few tokens that have a second name.
CREATE TABLE oauth_alias (
	network    int              NOT NULL,
	kind       text COLLATE "C" NOT NULL,
	alias      bytea            NOT NULL,
	hash       bytea            NOT NULL,
	kept_until bigint           NOT NULL,
	PRIMARY KEY (network, kind, alias)
);
CREATE INDEX oauth_alias_by_kept ON oauth_alias (kept_until, network);

-- A row stays for a while after the login has ended, so that it is not begun anew by
-- a request that was on its way.
CREATE TABLE oauth_login (
	network       int              NOT NULL,
	id            text COLLATE "C" NOT NULL,
	subject       text COLLATE "C" NOT NULL,
	authenticated bigint           NOT NULL,
	remember      int              NOT NULL,
	expires       bigint           NOT NULL,
	ended         bigint           NOT NULL,
	kept_until    bigint           NOT NULL,
	mark          bytea            NOT NULL,
	data          bytea            NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX oauth_login_by_subject ON oauth_login (subject, network);
CREATE INDEX oauth_login_by_kept ON oauth_login (kept_until, network);

-- What changes a set of keys changes its row here first, and so comes before or after
-- all others that do.
CREATE TABLE oauth_key_set (
	network  int              NOT NULL,
	set_name text COLLATE "C" NOT NULL,
	changes  bigint           NOT NULL,
	PRIMARY KEY (network, set_name)
);

CREATE TABLE oauth_key (
	network  int              NOT NULL,
	set_name text COLLATE "C" NOT NULL,
	id       text COLLATE "C" NOT NULL,
	created  bigint           NOT NULL,
	active   bigint           NOT NULL,
	mark     bytea            NOT NULL,
	data     bytea            NOT NULL,
	PRIMARY KEY (network, set_name, id)
);

CREATE TABLE oauth_issuer (
	network int              NOT NULL,
	id      text COLLATE "C" NOT NULL,
	issuer  text COLLATE "C" NOT NULL,
	subject text COLLATE "C" NOT NULL,
	key_id  text COLLATE "C" NOT NULL,
	created bigint           NOT NULL,
	expires bigint           NOT NULL,
	mark    bytea            NOT NULL,
	data    bytea            NOT NULL,
	PRIMARY KEY (network, id),
	UNIQUE (issuer, network, subject, key_id)
);

-- taker is the mark of who has it until it is due again.
CREATE TABLE oauth_delivery (
	network int              NOT NULL,
	id      text COLLATE "C" NOT NULL,
	created bigint           NOT NULL,
	due     bigint           NOT NULL,
	tries   bigint           NOT NULL,
	taker   bytea            NOT NULL,
	data    bytea            NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX oauth_delivery_by_due ON oauth_delivery (due, network);
