"""Runs a job and pages through its history by a client that was generated from the document."""

import sys
from urllib.parse import urljoin

from housekeeper_client import Client
from housekeeper_client.api.default import (
    get_history,
    get_instances,
    get_job,
    get_run,
    pause_job,
    pause_replicas,
    resume_replicas,
    run_job,
)
from housekeeper_client.models import AcceptedRun, Report

root, job = sys.argv[1], "booking-expirer"
client = Client(base_url=root)

# The first run outlasts the wait: 202, and the Location leads to its report.
accepted = run_job.sync_detailed(client=client, job=job, wait=1)
assert accepted.status_code == 202 and isinstance(accepted.parsed, AcceptedRun), accepted
location = urljoin(f"{root}/jobs/{job}/run", accepted.headers["location"])
assert location == f"{root}/runs/{accepted.parsed.run}", location
ended = get_run.sync(client=client, run=location.rsplit("/", 1)[1], wait=30)
report = ended.to_dict()
assert report["state"] == "ended" and report["report"]["success"] is True, report
assert isinstance(report["report"]["elapsed_ms"], (int, float)), report

# The next one ends within it.
report = run_job.sync(client=client, job=job, wait=30)
assert isinstance(report, Report) and report.success, report

# All pages together are the history at once.
everything = [line.key for line in get_history.sync(client=client, job=job).runs]
assert len(everything) > 4, everything
paged, cursor, pages = [], {}, 0
while True:
    page = get_history.sync(client=client, job=job, limit=2, **cursor)
    paged += [line.key for line in page.runs]
    pages += 1
    if not page.next_:
        break
    cursor = {"after": page.next_}
assert paged == everything and pages == -(-len(everything) // 2), (paged, everything)

# Switches, and the instances.
assert pause_job.sync(client=client, job=job).changed is True
assert pause_replicas.sync(client=client, job=job).changed is True
assert get_job.sync(client=client, job=job).pause.all_replicas is True
assert resume_replicas.sync(client=client, job=job).changed is True
assert [one.instance for one in get_instances.sync(client=client).instances] == ["client-test"]
refused = get_job.sync_detailed(client=client, job="other")
assert refused.status_code == 404 and refused.parsed.kind == "unknown_job", refused
print(f"{pages} pages of {len(everything)} lines")
