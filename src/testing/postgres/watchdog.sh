# Runs a Postgres server. Each line of the input is a command: `start`, or the signal that ends the
# server. At the end of the input it stops the server and removes the folder.
binaries=$1 folder=$2
shift 2
start() {
    "$binaries/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c synchronous_commit=off \
        -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB "$@" >> "$folder/log" 2>&1 < /dev/null &
    server=$!
}
end() {
    [ -n "$server" ] || return
    kill -"$1" "$server"
    wait "$server"
    server=
}
start "$@"
while read -r command; do
    case $command in
        start) [ -n "$server" ] || start "$@" ;;
        *) end "$command" ;;
    esac
done
end QUIT
rm -rf "$folder"
