//! Jobs in the queues of others, from the rule that writes them to the worker that does them.
//!
//! graphile-worker (Node) and procrastinate (Python) make their schemas and work on the jobs. Left
//! out unless `HOUSEKEEPER_QUEUES` names the folder with `node_modules` of the one and `bin` of the
//! other.

use std::path::{Path, PathBuf};
use std::process::Command;

use ractor_housekeeper::rule::{Value, call, hand_on, json};

use crate::handed_on::{Host, ORDERS, URL, expirer};

#[tokio::test]
async fn workers_of_other_queues_do_what_a_rule_hands_on() {
    let Some(tools) = std::env::var_os("HOUSEKEEPER_QUEUES").map(PathBuf::from) else {
        println!("left out: HOUSEKEEPER_QUEUES does not name the folder of the queues");
        return;
    };
    let Some(host) = Host::postgres().await else {
        return;
    };
    let url = host.ask(URL).await;
    let folder = tempfile::tempdir().expect("a folder");
    let work = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(tools.join(program));
        command.args(arguments).env("DATABASE_URL", &url);
        command.env("PYTHONPATH", folder.path());
        succeed(command.current_dir(folder.path()));
    };
    let graphile = |arguments: &[&str]| work("node_modules/.bin/graphile-worker", arguments);
    let procrastinate = |arguments: &[&str]| work("bin/procrastinate", arguments);
    write(&folder.path().join("tasks/tell-guest.js"), GRAPHILE_TASK);
    write(&folder.path().join("app.py"), PROCRASTINATE_APP);
    host.run(ORDERS).await;
    // The database refuses to expire one of the rows, so it has no job.
    host.run(
        "create table mails (sender text, guest text, key text);
         alter table orders add check (id <> 'b' or status = 'open')",
    )
    .await;
    graphile(&["--schema-only"]);
    procrastinate(&["--app=app.app", "schema", "--apply"]);
    let rule = expirer()
        .set("status", "expired")
        .hand_on(
            call("graphile_worker.add_job")
                .argument("identifier", "tell-guest")
                .argument("payload", json(["guest"]))
                .argument("job_key", Value::IdempotencyKey),
        )
        .hand_on(
            hand_on("procrastinate_jobs")
                .column("queue_name", "default")
                .column("task_name", "tell_guest")
                .column("args", json(["guest"]))
                .column("queueing_lock", Value::IdempotencyKey),
        );

    let rejected = host.handle(rule).await;
    graphile(&["--once"]);
    procrastinate(&["--app=app.app", "worker", "--one-shot"]);

    assert_eq!(rejected, ["b"]);
    assert_eq!(
        host.ask("select string_agg(concat_ws(' ', sender, guest, key), ', ' order by sender, key) from mails").await,
        "graphile anna expirer:a:1768046400000000, graphile expirer:c:1768046400000000, \
         procrastinate anna expirer:a:1768046400000000:2, procrastinate expirer:c:1768046400000000:2"
    );
    let left = "(select count(*) from graphile_worker.jobs) || (select string_agg(distinct status::text, ' ') from procrastinate_jobs)";
    assert_eq!(host.ask(left).await, "0succeeded");
}

fn write(path: &Path, text: &str) {
    let folder = path.parent().expect("it lies in a folder");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(path, text).expect("it is written");
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
}

const GRAPHILE_TASK: &str = "
    module.exports = ({ guest }, { query, job }) =>
        query(`insert into mails values ('graphile', $1, $2)`, [guest, job.key]);";

const PROCRASTINATE_APP: &str = r#"
import os

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="tell_guest", pass_context=True)
async def tell_guest(context, guest):
    await app.connector.execute_query_async(
        "insert into mails values ('procrastinate', %(guest)s, %(key)s)", guest=guest, key=context.job.queueing_lock
    )
"#;
