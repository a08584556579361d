//! Programs that read the document: a generated client, and a fuzzer of the API.
//!
//! Both are tools in Python. Left out unless `HOUSEKEEPER_API_TOOLS` names the folder of
//! `openapi-python-client`, `schemathesis` and their `python`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use ractor_housekeeper::Scope;
use ractor_housekeeper::testing::{Fault, Gate, Step};
use tokio::task::spawn_blocking;

use crate::support::host::{Host, seconds};
use crate::web::browser::serve;
use crate::web::visitor::setup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_client_runs_a_job_and_reads_its_history() {
    let Some(tools) = tools() else { return };
    let host = lived_in().await;
    let root = format!("{}/api/v1", serve(&host).await);
    let gate = Gate::closed();
    host.faults.always(Step::Batch, Fault::Hold(gate.clone()));
    host.add_overdue(3);
    tokio::spawn(async move {
        gate.reached().await;
        // The client waits for a second.
        tokio::time::sleep(seconds(3)).await;
        gate.open();
    });

    let folder = tempfile::tempdir().expect("a folder");
    let package = folder.path().join("client");
    std::fs::create_dir(&package).expect("a folder");
    let config = folder.path().join("config.yaml");
    let named = "project_name_override: housekeeper-client\npackage_name_override: housekeeper_client\npost_hooks: []\n";
    std::fs::write(&config, named).expect("it is written");
    let mut generate = Command::new(tools.join("openapi-python-client"));
    generate.args(["generate", "--url", &format!("{root}/openapi.json")]);
    generate.args(["--meta", "none", "--fail-on-warning", "--output-path"]);
    generate.arg(package.join("housekeeper_client"));
    generate.arg("--config").arg(&config);
    run(generate).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/surface/web/client.py");
    let mut client = Command::new(tools.join("python"));
    client.args([script, &root]).env("PYTHONPATH", &package);

    println!("{}", run(client).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_requests_get_answers_that_fit_the_document() {
    let Some(tools) = tools() else { return };
    let host = lived_in().await;
    let root = format!("{}/api/v1", serve(&host).await);
    let folder = tempfile::tempdir().expect("a folder");

    let mut fuzz = Command::new(tools.join("schemathesis"));
    fuzz.current_dir(folder.path());
    fuzz.args(["run", &format!("{root}/openapi.json"), "--url", &root]);
    fuzz.args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"]);
    fuzz.args(["--max-examples", "25", "--seed", "1", "--workers", "1"]);
    fuzz.args(["--warnings", "off", "--request-timeout", "60"]);

    println!("{}", run(fuzz).await);
}

/// Runs a tool to its end. Fails with all that it said unless it succeeds.
async fn run(mut command: Command) -> String {
    let name = format!("{command:?}");
    let output = spawn_blocking(move || command.output()).await;
    let output = output.expect("the thread ends");
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.join("\n");
    assert!(output.status.success(), "{name}: {said}");
    said
}

/// A host with a history of seven lines.
async fn lived_in() -> Host {
    let mut setup = setup();
    setup.arguments = setup.arguments.with_instance("client-test");
    let host = setup.start().await;
    for _ in 0..7 {
        host.add_overdue(1);
        host.run_now(Scope::All).await.expect("a report");
    }
    host
}

fn tools() -> Option<PathBuf> {
    let tools = env::var_os("HOUSEKEEPER_API_TOOLS").map(PathBuf::from);
    if tools.is_none() {
        println!("left out: HOUSEKEEPER_API_TOOLS does not name the folder of the tools");
    }
    tools
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      negative_data_rejection";
