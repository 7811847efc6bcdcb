-- The log of what happened is only added to, whoever has the connection.
-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION identity_event_only_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'rows of identity_event are only added';
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER identity_event_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON identity_event
	FOR EACH STATEMENT EXECUTE FUNCTION identity_event_only_added();
