do $$
begin
    execute format('alter function housekeeper_note_activity() security invoker set search_path = %I', current_schema());
end
$$;
grant execute on function housekeeper_note_activity() to public;
