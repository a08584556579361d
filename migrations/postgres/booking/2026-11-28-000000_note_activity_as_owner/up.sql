-- Activity is noted with the privileges of the function's owner, so that a role needs no more than insert on messages, and row security
-- on sessions hides no row from it. The search path is fixed to the schema of the tables, and temporary tables come last.
do $$
begin
    execute format('alter function housekeeper_note_activity() security definer set search_path = %I, pg_temp', current_schema());
end
$$;

-- A trigger runs without this privilege; with it, anybody could make another trigger that writes sessions as the owner.
revoke execute on function housekeeper_note_activity() from public;
