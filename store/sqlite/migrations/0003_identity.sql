-- Identities: who there is, how they prove it, and what their flows leave. Times are
-- microseconds since 1970, 0 is none; texts that name something are UUIDs.
-- +goose Up

-- One row for an identity. Lists that are read and written with it (addresses) are
-- JSON in it; what must be unique stands in identity_name as well.
CREATE TABLE identity (
	network         INTEGER NOT NULL,
	id              TEXT NOT NULL,
	version         INTEGER NOT NULL,
	schema_id       TEXT NOT NULL,
	state           TEXT NOT NULL,
	state_changed   INTEGER NOT NULL,
	traits          TEXT NOT NULL,
	metadata_public TEXT NOT NULL,
	metadata_admin  TEXT NOT NULL,
	external_id     TEXT NOT NULL,
	organization_id TEXT NOT NULL,
	available_aal   TEXT NOT NULL,
	verifiable      TEXT NOT NULL,
	recovery        TEXT NOT NULL,
	created         INTEGER NOT NULL,
	updated         INTEGER NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_by_organization ON identity (network, organization_id, id);

-- What is unique in a network: identifiers of credentials, addresses, external ids.
CREATE TABLE identity_name (
	network  INTEGER NOT NULL,
	kind     TEXT NOT NULL,
	value    TEXT NOT NULL,
	identity TEXT NOT NULL,
	PRIMARY KEY (network, kind, value)
) WITHOUT ROWID;
CREATE INDEX identity_name_by_identity ON identity_name (network, identity);

CREATE TABLE identity_credential (
	network     INTEGER NOT NULL,
	identity    TEXT NOT NULL,
	type        TEXT NOT NULL,
	config      TEXT NOT NULL,
	identifiers TEXT NOT NULL,
	version     INTEGER NOT NULL,
	created     INTEGER NOT NULL,
	updated     INTEGER NOT NULL,
	PRIMARY KEY (network, identity, type)
);

-- token is the hash of what the client shows, seen when it was shown last, roughly.
CREATE TABLE identity_session (
	network       INTEGER NOT NULL,
	id            TEXT NOT NULL,
	version       INTEGER NOT NULL,
	token         BLOB NOT NULL,
	identity      TEXT NOT NULL,
	active        INTEGER NOT NULL,
	aal           TEXT NOT NULL,
	methods       TEXT NOT NULL,
	authenticated INTEGER NOT NULL,
	issued        INTEGER NOT NULL,
	expires       INTEGER NOT NULL,
	seen          INTEGER NOT NULL,
	devices       TEXT NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE UNIQUE INDEX identity_session_by_token ON identity_session (network, token);
CREATE INDEX identity_session_by_identity ON identity_session (network, identity, active, issued, id);
CREATE INDEX identity_session_by_issued ON identity_session (network, issued, id);
CREATE INDEX identity_session_by_expires ON identity_session (network, expires);

-- Sessions that have ended, until others who rely on them know it; session is '' if the
-- identity itself is gone.
CREATE TABLE identity_ended (
	network  INTEGER NOT NULL,
	identity TEXT NOT NULL,
	session  TEXT NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (network, identity, session)
) WITHOUT ROWID;

-- Flows that somebody has submitted; opening one leaves no row.
CREATE TABLE identity_flow (
	network INTEGER NOT NULL,
	id      TEXT NOT NULL,
	version INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	data    BLOB NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_flow_by_expires ON identity_flow (network, expires);

-- Codes and links that were sent, by their hashes. used is 0 until one is used.
CREATE TABLE identity_code (
	network  INTEGER NOT NULL,
	id       TEXT NOT NULL,
	flow     TEXT NOT NULL,
	purpose  TEXT NOT NULL,
	hash     BLOB NOT NULL,
	identity TEXT NOT NULL,
	via      TEXT NOT NULL,
	address  TEXT NOT NULL,
	issued   INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	used     INTEGER NOT NULL,
	PRIMARY KEY (network, id)
) WITHOUT ROWID;
CREATE INDEX identity_code_by_flow ON identity_code (network, flow, purpose, hash);
CREATE INDEX identity_code_by_identity ON identity_code (network, identity);
CREATE INDEX identity_code_by_expires ON identity_code (network, expires);

-- How often something was tried: the next try is allowed at at + wait. The row means
-- nothing after until.
CREATE TABLE identity_attempt (
	network INTEGER NOT NULL,
	key     BLOB NOT NULL,
	tries   INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	wait    INTEGER NOT NULL,
	until   INTEGER NOT NULL,
	PRIMARY KEY (network, key)
) WITHOUT ROWID;
CREATE INDEX identity_attempt_by_until ON identity_attempt (network, until);

-- The courier's queue, and what was sent.
CREATE TABLE identity_message (
	network    INTEGER NOT NULL,
	id         TEXT NOT NULL,
	status     TEXT NOT NULL,
	type       TEXT NOT NULL,
	channel    TEXT NOT NULL,
	recipient  TEXT NOT NULL,
	template   TEXT NOT NULL,
	data       TEXT NOT NULL,
	send_count INTEGER NOT NULL,
	dispatches TEXT NOT NULL,
	due        INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	updated    INTEGER NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_message_by_due ON identity_message (network, status, due);
CREATE INDEX identity_message_by_created ON identity_message (network, created, id);

-- What happened, in the order of the ids. Rows are only added.
CREATE TABLE identity_event (
	network  INTEGER NOT NULL,
	id       TEXT NOT NULL,
	at       INTEGER NOT NULL,
	type     TEXT NOT NULL,
	identity TEXT NOT NULL,
	session  TEXT NOT NULL,
	client   TEXT NOT NULL,
	detail   TEXT NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_event_by_identity ON identity_event (network, identity, id);

-- Groups and organizations: what is known of them beside their members, which are tuples.
CREATE TABLE identity_group (
	network INTEGER NOT NULL,
	kind    TEXT NOT NULL,
	id      TEXT NOT NULL,
	version INTEGER NOT NULL,
	name    TEXT NOT NULL,
	label   TEXT NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	PRIMARY KEY (network, kind, id)
);
CREATE UNIQUE INDEX identity_group_by_name ON identity_group (network, kind, name);

-- Invitations to groups, by the hashes of what is in their links. used is 0 until one is.
CREATE TABLE identity_invitation (
	network  INTEGER NOT NULL,
	id       TEXT NOT NULL,
	kind     TEXT NOT NULL,
	group_id TEXT NOT NULL,
	via      TEXT NOT NULL,
	address  TEXT NOT NULL,
	hash     BLOB NOT NULL,
	issued   INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	used     INTEGER NOT NULL,
	identity TEXT NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_invitation_by_group ON identity_invitation (network, kind, group_id, id);
CREATE INDEX identity_invitation_by_expires ON identity_invitation (network, expires);
