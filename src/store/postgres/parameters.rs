//! The parameters of a connection string, checked by name before the driver reads them.
//!
//! The driver stops at the first parameter it does not know. Connection strings written for other
//! clients have several, so all are listed at once, each with its counterpart here. Only names of
//! this file are quoted: an unescaped password may look like a parameter.

/// Lists the parameters that are not known here, each with what to do; `None` if all are.
pub(super) fn unknown(text: &str) -> Option<String> {
    let names = match text.split_once("://") {
        Some((_, rest)) => of_url(rest),
        None => of_words(text),
    };
    let mut found: Vec<String> = Vec::new();
    for (place, (name, has_value)) in names.iter().enumerate() {
        let known = FOREIGN
            .iter()
            .flat_map(|(names, advice)| names.iter().map(move |name| (*name, *advice)))
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        let sentence = match (known, KNOWN.contains(&name.as_str()), has_value) {
            // A name without a value is more likely a part of the password.
            (_, true, true) | (None, false, false) => continue,
            (_, true, false) => format!("`{name}` (it has no value)"),
            (Some((name, advice)), ..) => format!("`{name}` ({advice})"),
            (None, false, true) => match meant(name) {
                Some(meant) => format!("parameter {} (is `{meant}` meant?)", place + 1),
                None => format!("parameter {}", place + 1),
            },
        };
        if !found.contains(&sentence) {
            found.push(sentence);
        }
    }
    (!found.is_empty()).then(|| format!("not known here: {}", found.join("; ")))
}

/// Returns the option of the driver that its error is about.
pub(super) fn with_invalid_value(cause: &str) -> Option<&'static str> {
    let is_about = |option: &str| cause == format!("invalid value for option `{option}`");
    KNOWN.iter().copied().find(|option| is_about(option))
}

/// The known name of which `name` differs in its case, its separators, or two letters, unless it is
/// nearer to one of another client.
fn meant(name: &str) -> Option<&'static str> {
    let foreign = FOREIGN.iter().flat_map(|(names, _)| names.iter());
    let all = KNOWN.iter().chain(foreign).copied();
    crate::rule::nearest(&name.replace('-', "_"), all)
        .filter(|meant| name.len() > 2 && KNOWN.contains(meant))
}

/// Names behind the `?` of a URL whose scheme is cut off, found as the driver finds them, and
/// whether each has a value.
fn of_url(rest: &str) -> Vec<(String, bool)> {
    let behind_user = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let Some((_, parameters)) = behind_user.split_once('?') else {
        return Vec::new();
    };
    parameters
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) => (name.to_owned(), true),
            None => (parameter.to_owned(), false),
        })
        .collect()
}

/// Names of `name=value` words, whose values may be in quotes.
fn of_words(text: &str) -> Vec<(String, bool)> {
    let mut names = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, value)) = rest.split_once('=') {
        names.push((name.trim().to_owned(), true));
        let value = value.trim_start();
        let quoted = value.starts_with('\'');
        let mut escaped = false;
        let end = value
            .char_indices()
            .skip(usize::from(quoted))
            .find(|(_, c)| {
                let ends = !escaped
                    && if quoted {
                        *c == '\''
                    } else {
                        c.is_whitespace()
                    };
                escaped = !escaped && *c == '\\';
                ends
            });
        let Some((end, last)) = end else { break };
        rest = value[end + last.len_utf8()..].trim_start();
    }
    names
}

/// Parameters that the driver knows.
const KNOWN: &[&str] = &[
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Parameters of other clients, with their counterparts here.
const FOREIGN: &[(&[&str], &str)] = &[
    (
        &["schema", "currentSchema", "search_path", "searchpath"],
        "write `options=-csearch_path%3Dname`",
    ),
    (
        &[
            "connection_limit",
            "pool_timeout",
            "pool_size",
            "max_pool_size",
            "min_pool_size",
            "pool_max_conns",
            "pool_min_conns",
            "pool_mode",
            "pool",
            "pool_recycle",
            "pool_pre_ping",
            "max_overflow",
            "max_connections",
            "min_connections",
            "max_conns",
            "maxPoolSize",
            "minPoolSize",
            "checkout_timeout",
            "idle_timeout",
            "max_lifetime",
            "reaping_frequency",
            "connection_timeout",
        ],
        "leave it out, or set it on a pool of your own with `PostgresStore::with_pool`",
    ),
    (
        &[
            "pgbouncer",
            "statement_cache_size",
            "statement_cache_capacity",
            "prepared_statements",
            "prepareThreshold",
            "preparedStatementCacheQueries",
            "preparedStatementCacheSizeMiB",
            "default_query_exec_mode",
            "binary_parameters",
            "prepared_statement_cache_size",
            "prepared_statement_name_func",
            "prepared_statements_cache_size",
        ],
        "leave it out, and let the pooler support prepared statements: `max_prepared_statements` of PgBouncer 1.21",
    ),
    (
        &[
            "ssl",
            "sslrootcert",
            "sslcert",
            "sslkey",
            "sslpassword",
            "sslidentity",
            "sslaccept",
            "sslcrl",
            "sslcrldir",
            "sslsni",
            "sslcertmode",
            "sslfactory",
            "sslcompression",
            "requiressl",
            "ssl_min_protocol_version",
            "ssl_max_protocol_version",
            "tls",
            "uselibpqcompat",
        ],
        "there is no TLS here; hand in a pool that has it with `PostgresStore::with_pool`",
    ),
    (
        &[
            "socket_timeout",
            "socketTimeout",
            "loginTimeout",
            "connectTimeout",
            "connect-timeout",
            "command_timeout",
            "acquire_timeout",
            "query_timeout",
        ],
        "leave it out, and set `PostgresStore::with_timeouts`",
    ),
    (
        &[
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
        ],
        "set for each transaction by `PostgresStore::with_timeouts`; leave it out",
    ),
    (
        &["ApplicationName", "fallback_application_name"],
        "write `application_name`",
    ),
    (
        &["targetServerType", "target_server_type"],
        "write `target_session_attrs=read-write`",
    ),
    (&["loadBalanceHosts"], "write `load_balance_hosts=random`"),
    (&["tcpKeepAlive", "tcp_keepalives"], "write `keepalives=1`"),
    (&["database", "db"], "write `dbname`"),
    (&["username", "pguser"], "write `user`"),
    (&["hostname", "server", "pghost"], "write `host`"),
    (
        &["passfile", "service", "servicefile"],
        "not read; give the host, the user and the password themselves",
    ),
    (
        &["client_encoding", "charset", "encoding"],
        "always UTF8; leave it out",
    ),
    (
        &["endpoint", "project"],
        "write it into `options`, as in `options=endpoint%3Dname`",
    ),
    (
        &["timezone", "TimeZone", "datestyle", "geqo"],
        "a setting of the server; write it into `options`, as in `options=-cname%3Dvalue`",
    ),
    (
        &[
            "gssencmode",
            "gssdelegation",
            "gsslib",
            "krbsrvname",
            "requirepeer",
            "require_auth",
            "kerberosServerName",
        ],
        "not supported; hand in a pool of your own with `PostgresStore::with_pool`",
    ),
    (
        &[
            "reWriteBatchedInserts",
            "replication",
            "stringtype",
            "defaultRowFetchSize",
            "async_fallback",
            "min_protocol_version",
            "max_protocol_version",
            "adapter",
        ],
        "no use here; leave it out",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_other_clients_are_listed_one_by_one() {
        let prisma = "postgres://app@db/app?schema=public&connection_limit=5&pgbouncer=true";
        let listed = unknown(prisma).expect("three are unknown");

        for name in ["`schema`", "`connection_limit`", "`pgbouncer`"] {
            assert!(listed.contains(name), "{listed}");
        }
        assert_eq!(unknown("postgres://app@db/app?connect_timeout=5"), None);
        assert_eq!(
            unknown("host=db password='a = b \\' schema=' dbname = app"),
            None
        );
        let careless = unknown("postgres://db/app?Schema=public&pgbouncer&connect_timeout");
        assert_eq!(
            careless.as_deref(),
            Some(
                "not known here: `schema` (write `options=-csearch_path%3Dname`); `pgbouncer` (leave it out, and let the pooler \
                 support prepared statements: `max_prepared_statements` of PgBouncer 1.21); `connect_timeout` (it has no value)"
            )
        );
        assert_eq!(unknown("postgres://a:b@ss?word@db/app"), None);
        let rails = "postgres://db/app?pool=5&checkout_timeout=5&prepared_statement_cache_size=0&maxPoolSize=9&pool_siz=2";
        let listed = unknown(rails).expect("five are unknown");
        assert!(!listed.contains("meant?"), "{listed}");
        assert!(listed.ends_with("; parameter 5"), "{listed}");
        let words = unknown("host=db sslrootcert=/etc/ca.pem user=app").expect("one is unknown");
        assert!(
            words.contains("`sslrootcert` (there is no TLS here"),
            "{words}"
        );
    }

    #[test]
    fn an_unknown_name_is_numbered_and_never_quoted() {
        let table = [
            (
                "postgres://db/app?user=a&pasword=x",
                "parameter 2 (is `password` meant?)",
            ),
            ("postgres://a:b@ss?qwertz=x@db/app", "parameter 1"),
            ("host=db hunter2=x", "parameter 2"),
        ];

        for (url, expected) in table {
            let listed = unknown(url).expect(url);

            assert!(listed.ends_with(expected), "{listed}");
        }
    }
}
