# Keeps a Postgres server. Orders come line by line: `start`, or the signal that ends it. At the end of the input all is cleared up.
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
while read -r order; do
    case $order in
        start) [ -n "$server" ] || start "$@" ;;
        *) end "$order" ;;
    esac
done
end QUIT
rm -rf "$folder"
