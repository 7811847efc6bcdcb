-- Identities: who there is, how they prove it, and what their flows leave. Times are
-- microseconds since 1970, 0 is none; texts that name something are UUIDs.
-- +goose NO TRANSACTION
-- +goose Up

-- One row for an identity. Lists that are read and written with it (addresses) are
-- JSON in it; what must be unique stands in identity_name as well.
CREATE TABLE IF NOT EXISTS identity (
	network         INT8 NOT NULL,
	id              TEXT NOT NULL,
	version         INT8 NOT NULL,
	schema_id       TEXT NOT NULL,
	state           TEXT NOT NULL,
	state_changed   INT8 NOT NULL,
	traits          TEXT NOT NULL,
	metadata_public TEXT NOT NULL,
	metadata_admin  TEXT NOT NULL,
	external_id     TEXT NOT NULL,
	organization_id TEXT NOT NULL,
	available_aal   TEXT NOT NULL,
	verifiable      TEXT NOT NULL,
	recovery        TEXT NOT NULL,
	created         INT8 NOT NULL,
	updated         INT8 NOT NULL,
	PRIMARY KEY (network, id),
	INDEX identity_by_organization (network, organization_id, id)
);

-- What is unique in a network: identifiers of credentials, addresses, external ids.
CREATE TABLE IF NOT EXISTS identity_name (
	network  INT8 NOT NULL,
	kind     TEXT NOT NULL,
	value    TEXT NOT NULL,
	identity TEXT NOT NULL,
	PRIMARY KEY (network, kind, value),
	INDEX identity_name_by_identity (network, identity)
);

CREATE TABLE IF NOT EXISTS identity_credential (
	network     INT8 NOT NULL,
	identity    TEXT NOT NULL,
	type        TEXT NOT NULL,
	config      TEXT NOT NULL,
	identifiers TEXT NOT NULL,
	version     INT8 NOT NULL,
	created     INT8 NOT NULL,
	updated     INT8 NOT NULL,
	PRIMARY KEY (network, identity, type)
);

-- token is the hash of what the client shows, seen when it was shown last, roughly.
CREATE TABLE IF NOT EXISTS identity_session (
	network       INT8 NOT NULL,
	id            TEXT NOT NULL,
	version       INT8 NOT NULL,
	token         BYTES NOT NULL,
	identity      TEXT NOT NULL,
	active        INT8 NOT NULL,
	aal           TEXT NOT NULL,
	methods       TEXT NOT NULL,
	authenticated INT8 NOT NULL,
	issued        INT8 NOT NULL,
	expires       INT8 NOT NULL,
	seen          INT8 NOT NULL,
	devices       TEXT NOT NULL,
	PRIMARY KEY (network, id),
	UNIQUE INDEX identity_session_by_token (network, token),
	INDEX identity_session_by_identity (network, identity, active, issued, id),
	INDEX identity_session_by_issued (network, issued, id),
	INDEX identity_session_by_expires (network, expires)
);

-- Sessions that have ended, until others who rely on them know it; session is '' if the
-- identity itself is gone.
CREATE TABLE IF NOT EXISTS identity_ended (
	network  INT8 NOT NULL,
	identity TEXT NOT NULL,
	session  TEXT NOT NULL,
	at       INT8 NOT NULL,
	PRIMARY KEY (network, identity, session)
);

-- Flows that somebody has submitted; opening one leaves no row.
CREATE TABLE IF NOT EXISTS identity_flow (
	network INT8 NOT NULL,
	id      TEXT NOT NULL,
	version INT8 NOT NULL,
	expires INT8 NOT NULL,
	data    BYTES NOT NULL,
	PRIMARY KEY (network, id),
	INDEX identity_flow_by_expires (network, expires)
);

-- Codes and links that were sent, by their hashes. used is 0 until one is used.
CREATE TABLE IF NOT EXISTS identity_code (
	network  INT8 NOT NULL,
	id       TEXT NOT NULL,
	flow     TEXT NOT NULL,
	purpose  TEXT NOT NULL,
	hash     BYTES NOT NULL,
	identity TEXT NOT NULL,
	via      TEXT NOT NULL,
	address  TEXT NOT NULL,
	issued   INT8 NOT NULL,
	expires  INT8 NOT NULL,
	used     INT8 NOT NULL,
	PRIMARY KEY (network, id),
	INDEX identity_code_by_flow (network, flow, purpose, hash),
	INDEX identity_code_by_identity (network, identity),
	INDEX identity_code_by_expires (network, expires)
);

-- How often something was tried: the next try is allowed at at + wait. The row means
-- nothing after until.
CREATE TABLE IF NOT EXISTS identity_attempt (
	network INT8 NOT NULL,
	key     BYTES NOT NULL,
	tries   INT8 NOT NULL,
	at      INT8 NOT NULL,
	wait    INT8 NOT NULL,
	until   INT8 NOT NULL,
	PRIMARY KEY (network, key),
	INDEX identity_attempt_by_until (network, until)
);

-- The courier's queue, and what was sent.
CREATE TABLE IF NOT EXISTS identity_message (
	network    INT8 NOT NULL,
	id         TEXT NOT NULL,
	status     TEXT NOT NULL,
	type       TEXT NOT NULL,
	channel    TEXT NOT NULL,
	recipient  TEXT NOT NULL,
	template   TEXT NOT NULL,
	data       TEXT NOT NULL,
	send_count INT8 NOT NULL,
	dispatches TEXT NOT NULL,
	due        INT8 NOT NULL,
	created    INT8 NOT NULL,
	updated    INT8 NOT NULL,
	PRIMARY KEY (network, id),
	INDEX identity_message_by_due (network, status, due),
	INDEX identity_message_by_created (network, created, id)
);

-- What happened, in the order of the ids. Rows are only added.
CREATE TABLE IF NOT EXISTS identity_event (
	network  INT8 NOT NULL,
	id       TEXT NOT NULL,
	at       INT8 NOT NULL,
	type     TEXT NOT NULL,
	identity TEXT NOT NULL,
	session  TEXT NOT NULL,
	client   TEXT NOT NULL,
	detail   TEXT NOT NULL,
	PRIMARY KEY (network, id),
	INDEX identity_event_by_identity (network, identity, id)
);

-- Groups and organizations: what is known of them beside their members, which are tuples.
CREATE TABLE IF NOT EXISTS identity_group (
	network INT8 NOT NULL,
	kind    TEXT NOT NULL,
	id      TEXT NOT NULL,
	version INT8 NOT NULL,
	name    TEXT NOT NULL,
	label   TEXT NOT NULL,
	created INT8 NOT NULL,
	updated INT8 NOT NULL,
	PRIMARY KEY (network, kind, id),
	UNIQUE INDEX identity_group_by_name (network, kind, name)
);

-- Invitations to groups, by the hashes of what is in their links. used is 0 until one is.
CREATE TABLE IF NOT EXISTS identity_invitation (
	network  INT8 NOT NULL,
	id       TEXT NOT NULL,
	kind     TEXT NOT NULL,
	group_id TEXT NOT NULL,
	via      TEXT NOT NULL,
	address  TEXT NOT NULL,
	hash     BYTES NOT NULL,
	issued   INT8 NOT NULL,
	expires  INT8 NOT NULL,
	used     INT8 NOT NULL,
	identity TEXT NOT NULL,
	PRIMARY KEY (network, id),
	INDEX identity_invitation_by_group (network, kind, group_id, id),
	INDEX identity_invitation_by_expires (network, expires)
);
