"""Truths about infra/, found out offline. Its own tests are in infra/tests/; here they are run, planted mistakes are
looked for in the plan itself (so that a resource nobody thought of is looked at too), and it is applied for practice.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import flask
import pytest

from coinlake import catalog, functions
from coinlake.bronze.plans import PLANS
from coinlake.settings import SETTINGS
from once import once_said
from terraform import INFRA, PROJECT, Root, offline, resources
from world import leads_to

ROOT = INFRA.parent
CHECKOV = ROOT / ".checkov" / "bin" / "checkov"
REGION = "australia-southeast1"
LAYERS = ("bronze", "silver", "gold")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terraform")]

EVERYTHING: dict[str, Any] = {
    "api_key_version": "1",
    "alert_email": "someone@example.com",
    "budget": {"billing_account": "01AB23-45CD67-89EF01"},
    "own_sources": ["kraken"],
    "schedule": {"snapshots": "20 * * * *"},
    "operators": ["user:someone@example.com"],
    "dashboard": {
        "image": f"{REGION}-docker.pkg.dev/a-project/coinlake/dashboard:1",
        "viewers": ["domain:example.com"],
    },
    "bigquery": {"silver": ["prices"], "gold": ["daily"]},
    "kms_key": f"projects/a-project/locations/{REGION}/keyRings/lake/cryptoKeys/lake",
    "allowed_locations": ["in:australia-locations"],
    "audit_logs": True,
}
"""A value for everything that is optional."""


@pytest.fixture(scope="session")
def environ(shared: Path) -> dict[str, str]:
    return offline(shared)


@pytest.fixture(scope="session")
def root(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A copy without a bundle, as it is after a clone."""
    return Root.copied(tmp_path_factory.mktemp("root"), environ, bundle=False)


@pytest.fixture(scope="session")
def plan(root: Root, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(once_said(tmp_path_factory, "plan", root.plan))


@pytest.fixture(scope="session")
def full_plan(root: Root, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A plan with everything optional turned on."""
    return dict(once_said(tmp_path_factory, "full-plan", lambda: root.plan(**EVERYTHING)))


@pytest.fixture(scope="session")
def promises(root: Root, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each of Terraform's own tests ended, by name."""
    return dict(once_said(tmp_path_factory, "promises", lambda: _ended(root)))


def _told(root: Root, *words: str) -> list[dict[str, Any]]:
    """What Terraform's own tests say, line by line."""
    return [json.loads(line) for line in root("test", "-json", *words, fails=True).stdout.splitlines()]


def _ended(root: Root, *words: str) -> dict[str, str]:
    ended = [each["test_run"] for each in _told(root, *words) if each["type"] == "test_run"]
    return {each["run"]: each["status"] for each in ended if each["progress"] == "complete"}


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """All that Terraform said, on one line: without frames, and however it was wrapped."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╷╵]", "", done.stdout + done.stderr).split())


# What must never be planned ----------------------------------------------------------------------------------------


def public(plan: Mapping[str, Any]) -> Iterator[str]:
    """Buckets that could be public, and whatever is granted to everybody."""
    for address, bucket in resources(plan, "google_storage_bucket").items():
        if "location" in bucket and (
            bucket["public_access_prevention"] != "enforced" or bucket["uniform_bucket_level_access"] is not True
        ):
            yield address
    for address, grant in resources(plan).items():
        members = [grant.get("member"), *(grant.get("members") or [])]
        if {"allUsers", "allAuthenticatedUsers"} & set(members):
            yield address


NARROW = {
    "google_artifact_registry_repository_iam": {"roles/artifactregistry.writer"},
    "google_cloud_run_v2_service_iam": {"roles/run.invoker"},
    "google_iap_web_cloud_run_service_iam": {"roles/iap.httpsResourceAccessor"},
    "google_kms_crypto_key_iam": {"roles/cloudkms.cryptoKeyEncrypterDecrypter"},
    "google_project_iam_member": {"roles/logging.logWriter", "roles/storage.objectViewer"},
    "google_pubsub_subscription_iam": {"roles/pubsub.subscriber"},
    "google_pubsub_topic_iam": {"roles/pubsub.publisher"},
    "google_secret_manager_secret_iam": {"roles/secretmanager.secretAccessor"},
    "google_service_account_iam": {"roles/iam.serviceAccountOpenIdTokenCreator"},
    "google_storage_bucket_iam": {
        "roles/storage.objectCreator",
        "roles/storage.objectViewer",
        "roles/storage.objectUser",
    },
}
"""Every role there is, by the kind of grant."""


def too_mighty(plan: Mapping[str, Any]) -> Iterator[str]:
    """Grants of roles that are not among the narrow ones, and of reading every bucket there is."""
    for address, grant in resources(plan).items():
        if grant.get("role"):
            allowed = next((roles for kind, roles in NARROW.items() if address.startswith(kind)), set())
            is_everywhere = address.startswith("google_project_iam") and "storage" in grant["role"]
            if grant["role"] not in allowed or (is_everywhere and not grant["condition"]):
                yield address


def endless(plan: Mapping[str, Any]) -> Iterator[str]:
    """Notifications of what the function that they set off can write itself."""
    account = {
        f"serviceAccount:{function['service_config'][0]['service_account_email']}": re.search(r'"(\w+)"', address)[1]  # type: ignore[index]
        for address, function in resources(plan, "google_cloudfunctions2_function").items()
    }
    sets_off: dict[str, set[str]] = {}
    for address, subscription in resources(plan, "google_pubsub_subscription.").items():
        if subscription["push_config"]:
            step = leads_to(plan, address, "push_config", "push_endpoint", "google_cloudfunctions2_function")
            sets_off.setdefault(subscription["topic"], set()).add(re.search(r'"(\w+)"', step)[1])  # type: ignore[index]
    for address, event in resources(plan, "google_storage_notification").items():
        for grant in resources(plan, "google_storage_bucket_iam").values():
            writes = grant["role"] != "roles/storage.objectViewer" and grant["bucket"] == event["bucket"]
            if writes and account.get(grant["member"]) in sets_off.get(event["topic"], set()) and _meet(grant, event):
                yield address


def _meet(grant: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether a grant reaches below the prefix of a notification."""
    where = [re.search(r"/objects/([^\"]*)\"", each["expression"]) for each in grant["condition"]]
    below = where[0][1] if where and where[0] else ""
    prefix = event["object_name_prefix"] or ""
    return below.startswith(prefix) or prefix.startswith(below)


def lost(plan: Mapping[str, Any]) -> Iterator[str]:
    """Subscriptions that push and have no dead letter, and dead letters that nobody keeps."""
    subscriptions = resources(plan, "google_pubsub_subscription.")
    kept = {each["topic"] for each in subscriptions.values() if not each["push_config"]}
    for address, each in subscriptions.items():
        dead = [policy["dead_letter_topic"] for policy in each["dead_letter_policy"]]
        if each["push_config"] and not (dead and dead[0] in kept):
            yield address


def elsewhere(plan: Mapping[str, Any]) -> Iterator[str]:
    """Whatever lies, runs or is kept in another region."""
    for address, each in resources(plan).items():
        places = [each.get("location"), each.get("region")]
        places += [
            place
            for policy in each.get("message_storage_policy") or []
            for place in policy["allowed_persistence_regions"]
        ]
        for replication in each.get("replication") or []:
            places += [replica["location"] for kind in replication["user_managed"] for replica in kind["replicas"]]
            places += ["everywhere"] if replication["auto"] else []
        if {place.lower() for place in places if place} - {REGION}:
            yield address
        if address.startswith("google_pubsub_topic.") and not each["message_storage_policy"]:
            yield address


PLAIN = {setting.variable for setting in SETTINGS.values() if not setting.secret} | {
    "COINLAKE_DEADLINE_S",
    "GOOGLE_CLOUD_PROJECT",
}
"""Variables that hold nothing secret."""


def open_handed(plan: Mapping[str, Any]) -> Iterator[str]:
    """Plain variables that may hold a secret, functions besides bronze that are given the key, and others who may read
    it.
    """
    for address, function in resources(plan, "google_cloudfunctions2_function").items():
        given = function["service_config"][0]
        if set(given["environment_variables"]) - PLAIN or (
            given["secret_environment_variables"] and not address.endswith('["bronze"]')
        ):
            yield address
    for address, service in resources(plan, "google_cloud_run_v2_service.").items():
        if {each["name"] for box in service["template"][0]["containers"] for each in box["env"]} - PLAIN:
            yield address
    bronze = resources(plan, 'google_cloudfunctions2_function.step["bronze"]').popitem()[1]["service_config"][0]
    for address, grant in resources(plan, "google_secret_manager_secret_iam").items():
        if grant["member"] != f"serviceAccount:{bronze['service_account_email']}":
            yield address


KINDS = {
    *("artifact_registry_repository", "artifact_registry_repository_iam_member"),
    *("bigquery_connection", "bigquery_dataset", "bigquery_table", "billing_budget"),
    *("cloud_run_v2_service", "cloud_run_v2_service_iam_member", "cloud_scheduler_job", "cloudfunctions2_function"),
    *("iap_web_cloud_run_service_iam_member", "kms_crypto_key_iam_member"),
    *("logging_metric", "monitoring_alert_policy", "monitoring_notification_channel", "org_policy_policy"),
    *("project_iam_audit_config", "project_iam_member", "project_service"),
    *("pubsub_subscription", "pubsub_subscription_iam_member", "pubsub_topic", "pubsub_topic_iam_member"),
    *("secret_manager_secret", "secret_manager_secret_iam_member", "service_account", "service_account_iam_member"),
    *("storage_bucket", "storage_bucket_iam_member", "storage_bucket_object", "storage_notification"),
}
"""All kinds of Google's resources that these checks know. There are others that would go past them: a policy in place
of all grants, access lists, keys and versions of secrets, which lie in the state.
"""


def unknown(plan: Mapping[str, Any]) -> Iterator[str]:
    """Whatever is of a kind that these checks do not know."""
    for address in resources(plan):
        kind = address.split(".")[0]
        if kind.startswith("google_") and kind.removeprefix("google_") not in KINDS:
            yield address


CHECKS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "no_bucket_is_public": public,
    "no_principal_has_an_admin_role_on_a_bucket": too_mighty,
    "what_a_function_writes_never_triggers_itself": endless,
    "an_event_is_tried_again_and_then_kept": lost,
    "everything_lies_in_the_region": elsewhere,
    "only_bronze_ever_sees_the_key": open_handed,
}


def test_every_kind_of_resource_is_one_that_the_checks_know(plan: dict[str, Any], full_plan: dict[str, Any]) -> None:
    assert list(unknown(plan)) == []
    assert list(unknown(full_plan)) == []
    there = {address.split(".")[0] for address in resources(full_plan)}
    assert {f"google_{kind}" for kind in KINDS} <= there, "a kind that nothing is of any more"


@pytest.mark.parametrize("promise", CHECKS)
def test_the_plan_keeps_its_promise(plan: dict[str, Any], full_plan: dict[str, Any], promise: str) -> None:
    assert list(CHECKS[promise](plan)) == []
    assert list(CHECKS[promise](full_plan)) == []


def _instead(file: str, old: str, new: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text, f"{file} no longer says {old!r}: plant the mistake elsewhere"
        (folder / file).write_text(text.replace(old, new, 1))

    return plant


MISTAKES: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "a public bucket": (
        "no_bucket_is_public",
        _instead("buckets.tf", 'public_access_prevention    = "enforced"', 'public_access_prevention    = "inherited"'),
    ),
    "a storage.admin": (
        "no_principal_has_an_admin_role_on_a_bucket",
        _instead("accounts.tf", 'who = "gold", role = local.may_write', 'who = "gold", role = "roles/storage.admin"'),
    ),
    "a trigger on its own output": (
        "what_a_function_writes_never_triggers_itself",
        _instead("events.tf", 'gold   = { layer = "silver"', 'gold   = { layer = "gold"'),
    ),
    "a missing dead letter": (
        "an_event_is_tried_again_and_then_kept",
        _instead(
            "events.tf",
            "  dead_letter_policy {\n    dead_letter_topic     = local.topic_dead\n"
            "    max_delivery_attempts = var.delivery.max_attempts\n  }\n",
            "",
        ),
    ),
    "a wrong region": (
        "everything_lies_in_the_region",
        _instead(
            "buckets.tf", "location                    = var.region", 'location                    = "us-central1"'
        ),
    ),
    "the key as a plain variable": (
        "only_bronze_ever_sees_the_key",
        _instead("functions.tf", '= "json"', '= "json"\n        COINLAKE_API_KEY     = "a-key"'),
    ),
}
"""By mistake: the promise that it breaks, and how it is planted."""

BESIDES: Mapping[str, str] = {
    "no_bucket_is_public": """resource "google_storage_bucket_iam_member" "planted" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = "allUsers"
}
""",
    "no_principal_has_an_admin_role_on_a_bucket": """resource "google_project_iam_member" "planted" {
  for_each = toset(["roles/storage.admin", "roles/storage.objectViewer"])
  project  = var.project_id
  role     = each.key
  member   = local.account.gold
}
""",
    "what_a_function_writes_never_triggers_itself": """resource "google_pubsub_subscription" "planted" {
  name  = "planted"
  topic = local.topic["gold"]
  push_config {
    push_endpoint = google_cloudfunctions2_function.step["silver"].service_config[0].uri
  }
  dead_letter_policy {
    dead_letter_topic     = local.topic_dead
    max_delivery_attempts = 20
  }
}
""",
    "everything_lies_in_the_region": """resource "google_pubsub_topic" "planted" {
  name = "planted"
}
""",
    "only_bronze_ever_sees_the_key": """resource "google_secret_manager_secret_iam_member" "planted" {
  secret_id = google_secret_manager_secret.api_key.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.account.gold
}
""",
}
"""Mistakes in what is new, which Terraform's own tests cannot name: by the promise that each breaks."""

UNKNOWN = ("project_iam_policy", "secret_manager_secret_version", "service_account_key", "storage_default_object_acl")
"""What goes past the checks of single promises: not one of its kinds may be there at all."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found_in_the_plan(environ: dict[str, str], tmp_path: Path, mistake: str) -> None:
    planted = Root.copied(tmp_path, environ, bundle=False)
    promise, plant = MISTAKES[mistake]
    plant(planted.folder)
    found = planted.plan()
    assert [name for name, check in CHECKS.items() if list(check(found))] == [promise]


def test_a_mistake_in_what_nobody_thought_of_is_found_too(environ: dict[str, str], tmp_path: Path) -> None:
    planted = Root.copied(tmp_path, environ, bundle=False)
    (planted.folder / "planted.tf").write_text("".join(BESIDES.values()))
    found = planted.plan()
    for promise, resource in BESIDES.items():
        is_told_of = "google_storage_notification" if promise.startswith("what_a_function") else resource.split('"')[1]
        assert {each.split(".")[0] for each in CHECKS[promise](found)} == {is_told_of}, promise
    assert len(list(too_mighty(found))) == 2
    assert list(unknown(found)) == []


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_kind_of_resource_that_the_checks_do_not_know_is_found(plan: dict[str, Any], kind: str) -> None:
    planted = {"address": f"google_{kind}.planted", "values": {}}
    there = plan["planned_values"]["root_module"]["resources"]
    with_it = {"planned_values": {"root_module": {"resources": [*there, planted]}}}
    assert list(unknown(with_it)) == [planted["address"]]


def test_terraforms_own_tests_find_every_planted_mistake(environ: dict[str, str], tmp_path: Path) -> None:
    planted = Root.copied(tmp_path, environ, bundle=False)
    for _, plant in MISTAKES.values():
        plant(planted.folder)
    ended = _ended(planted, "-filter=tests/promises.tftest.hcl")
    failed = {name for name, status in ended.items() if status == "fail"}
    assert {promise for promise, _ in MISTAKES.values()} <= failed, ended


SLIPS: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "another reader of the key": (
        "Nobody but bronze may read the key.",
        _instead("secrets.tf", "local.account.bronze", "local.account.silver"),
    ),
    "the key for every function": (
        "No function but bronze is given the key.",
        _instead("functions.tf", 'each.key == "bronze" ? var.api_key_version[*] : []', "var.api_key_version[*]"),
    ),
    "the key as a plain variable": (
        "The key is a reference to a secret, and no plain variable.",
        MISTAKES["the key as a plain variable"][1],
    ),
    "nobody may move what died": (
        "Pub/Sub itself may move what died.",
        _instead("events.tf", "for_each = google_pubsub_subscription.event", "for_each = {}"),
    ),
    "storage may publish nothing": (
        "Cloud Storage may publish to each topic.",
        _instead("events.tf", "for_each = google_pubsub_topic.event", "for_each = {}"),
    ),
    "a token for another function": (
        "Scheduler's token is for the function that it calls.",
        _instead(
            "scheduler.tf",
            "audience              = google_cloudfunctions2_function.step[each.value.function].service_config[0].uri",
            "audience              = google_cloudfunctions2_function.step[each.value.function].url",
        ),
    ),
    "a look that is none": (
        "Bronze is called for all there is; gold is asked to look at itself.",
        _instead("scheduler.tf", "{ look = true }", "{ looks = true }"),
    ),
}
"""By a mistake that no plan shows, or that leaves nothing to look at: what Terraform's tests say, and the mistake."""


@pytest.fixture(scope="module")
def slipped(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What Terraform's own tests say of a copy with every slip."""

    def say() -> list[str]:
        planted = Root.copied(tmp_path_factory.mktemp("slips"), environ, bundle=False)
        for _, plant in SLIPS.values():
            plant(planted.folder)
        told = _told(planted, "-filter=tests/promises.tftest.hcl")
        return [each["diagnostic"]["detail"].split("\n")[0] for each in told if each["type"] == "diagnostic"]

    return set(once_said(tmp_path_factory, "slips", say))


@pytest.mark.parametrize("slip", SLIPS)
def test_terraforms_own_tests_find_a_slip(slipped: set[str], slip: str) -> None:
    assert SLIPS[slip][0] in slipped


# What waits for what -----------------------------------------------------------------------------------------------


def hasty(root: Root, full_plan: Mapping[str, Any]) -> Iterator[str]:
    """What follows without a wait on what Google takes a while to notice: `later after earlier`."""
    edges: dict[str, set[str]] = {}
    for later, earlier in re.findall(r'"([\w.]+)" -> "([\w.]+)"', root("graph").stdout):
        edges.setdefault(later, set()).add(earlier)

    def before(address: str) -> set[str]:
        found: set[str] = set()
        todo = [address]
        while todo:
            fresh = edges.get(todo.pop(), set()) - found
            found |= fresh
            todo += fresh
        return found

    everything = {address.split("[")[0] for address in resources(full_plan)}
    metrics = {each for each in everything if each.startswith("google_logging_metric.")}
    pairs = [
        *((each, metric) for each in everything if "alert_policy" in each for metric in metrics & before(each)),
        *(
            (address.split("[")[0], "google_kms_crypto_key_iam_member.agent")
            for address, values in resources(full_plan).items()
            if EVERYTHING["kms_key"] in json.dumps(values) and not address.startswith(("google_kms", "time_sleep"))
        ),
        *(
            ("google_cloudfunctions2_function.step", grant)
            for grant in everything
            if re.match(r"google_(project|artifact|secret|storage)\w*_iam_member\.(builder|granted|api_key)", grant)
        ),
    ]
    assert {grant.split(".")[0] for _, grant in pairs} >= {
        "google_artifact_registry_repository_iam_member",
        "google_kms_crypto_key_iam_member",
        "google_logging_metric",
        "google_project_iam_member",
        "google_secret_manager_secret_iam_member",
        "google_storage_bucket_iam_member",
    }
    for later, earlier in sorted(set(pairs)):
        waits = [each for each in before(later) if each.startswith("time_sleep.") and earlier in before(each)]
        if not waits:
            yield f"{later} after {earlier}"


def test_what_google_notices_late_is_waited_for(root: Root, full_plan: dict[str, Any]) -> None:
    assert list(hasty(root, full_plan)) == []


def test_a_missing_wait_is_found(environ: dict[str, str], tmp_path: Path, full_plan: dict[str, Any]) -> None:
    planted = Root.copied(tmp_path, environ, bundle=False)
    _instead("alerts.tf", "depends_on = [time_sleep.metric]", "depends_on = [time_sleep.services]")(planted.folder)
    _instead("secrets.tf", "time_sleep.keys]", "google_kms_crypto_key_iam_member.agent]")(planted.folder)
    _instead("services.tf", ", google_storage_bucket_iam_member.builder.id]", "]")(planted.folder)
    _instead("services.tf", "google_secret_manager_secret_iam_member.api_key[*].id", "[]")(planted.folder)
    assert list(hasty(planted, full_plan)) == [
        "google_cloudfunctions2_function.step after google_secret_manager_secret_iam_member.api_key",
        "google_cloudfunctions2_function.step after google_storage_bucket_iam_member.builder",
        "google_monitoring_alert_policy.gold_is_old after google_logging_metric.gold_age",
        "google_secret_manager_secret.api_key after google_kms_crypto_key_iam_member.agent",
    ]


def test_a_wait_is_a_minute_at_least() -> None:
    text = "".join(each.read_text() for each in INFRA.glob("*.tf"))
    waits = dict(re.findall(r'resource "time_sleep" "(\w+)" \{[^}]*?create_duration = "(\d+)s"', text))
    assert set(waits) == set(re.findall(r'resource "time_sleep" "(\w+)"', text))
    assert {name for name, seconds in waits.items() if int(seconds) < 60} == set()


# What alerts go by -------------------------------------------------------------------------------------------------


def unlogged(plan: Mapping[str, Any], line: Mapping[str, Any]) -> set[str]:
    """Fields that a metric or an alert goes by and that are not in a line of the log."""
    told = json.dumps([resources(plan, "google_logging_metric"), resources(plan, "google_monitoring_alert_policy")])
    named = set(re.findall(r"jsonPayload\.(\w+)", told))
    assert named, "nothing goes by the log any more"
    return named - set(line)


@pytest.fixture
def looked(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """The line that gold logs when it is sent what Scheduler is told to send for a look."""
    for layer in LAYERS:
        monkeypatch.setenv(f"COINLAKE_{layer.upper()}", str(tmp_path / "lake" / layer))
    job = resources(plan, 'google_cloud_scheduler_job.call["gold-look"]').popitem()[1]
    body = base64.b64decode(job["http_target"][0]["body"])
    with flask.Flask("test").test_request_context("/", method="POST", data=body):
        said, status, _ = functions.gold_analyze(flask.request)
    assert (status, "gold_age_hours" in json.loads(said)) == (200, True)
    return dict(json.loads(capsys.readouterr().err.splitlines()[-1]))


def test_every_field_that_an_alert_goes_by_is_logged_by_golds_look(
    plan: dict[str, Any], looked: dict[str, Any]
) -> None:
    assert unlogged(plan, looked) == set()


def test_a_field_that_nobody_logs_is_found(environ: dict[str, str], tmp_path: Path, looked: dict[str, Any]) -> None:
    planted = Root.copied(tmp_path, environ, bundle=False)
    _instead("alerts.tf", "EXTRACT(jsonPayload.gold_age_hours)", "EXTRACT(jsonPayload.age_of_gold)")(planted.folder)
    assert unlogged(planted.plan(), looked) == {"age_of_gold"}


# What it says ------------------------------------------------------------------------------------------------------


def test_the_root_is_formatted_and_valid(root: Root) -> None:
    assert subprocess.run(["terraform", "fmt", "-check", "-recursive", str(INFRA)], capture_output=True).returncode == 0
    root("validate")


def test_the_bootstrap_root_is_valid(environ: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(INFRA / "bootstrap", tmp_path / "infra", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    bootstrap = Root(tmp_path / "infra", environ)
    bootstrap("init", "-input=false")
    bootstrap("validate")


def test_every_promise_holds_on_mocked_providers_without_a_bundle(promises: dict[str, str]) -> None:
    assert set(CHECKS) < set(promises)
    assert {name: status for name, status in promises.items() if status != "pass"} == {}


def test_what_is_to_be_filled_in_is_asked_for_in_words(root: Root) -> None:
    told = _said(root("plan", "-input=false", fails=True))
    for name in ("project_id", "project_number"):
        assert f"{name} still is what stands in terraform.tfvars as an example" in told


def test_an_apply_without_a_bundle_stops_with_a_sentence_and_can_be_destroyed(
    environ: dict[str, str], tmp_path: Path
) -> None:
    bare = Root.copied(tmp_path, environ, bundle=False)
    (bare.folder / "chosen.auto.tfvars.json").write_text(json.dumps(PROJECT))
    told = _said(bare("apply", "-auto-approve", "-input=false", fails=True))
    assert "There is no bundle to make the functions of: run make bundle" in told
    made = bare("state", "list").stdout
    assert "google_storage_bucket.source" in made
    assert "google_cloudfunctions2_function" not in made
    assert "google_storage_bucket_object" not in made
    named = _said(bare("plan", "-input=false", "-var=bundle=/nonexistent.zip", fails=True))
    assert "There is no file /nonexistent.zip, which `bundle` names: run make bundle" in named
    bare("destroy", "-auto-approve", "-input=false")
    assert bare("state", "list").stdout == ""


def test_infra_reads_no_other_folder_than_its_own_and_dist() -> None:
    text = "".join(each.read_text() for each in INFRA.rglob("*.*") if each.suffix in {".tf", ".hcl", ".tfvars"})
    assert set(re.findall(r"\.\./[\w./-]*", text)) == {"../dist/coinlake-functions.zip"}


def test_a_first_plan_asks_google_nothing(plan: dict[str, Any]) -> None:
    asked = [each for each in plan["resource_changes"] if each["mode"] == "data"]
    assert all(each["action_reason"] == "read_because_dependency_pending" for each in asked)


def test_gold_is_set_off_by_every_table_that_it_is_made_of(plan: dict[str, Any]) -> None:
    told = {each["object_name_prefix"] for each in resources(plan, 'google_storage_notification.event["gold').values()}
    read = {
        source for entry in catalog.entries().values() if entry.table.layer == "gold" for source in entry.table.reads
    }
    # Runs come with every step, rejects and coins with rows of other tables: they set off nothing by themselves.
    silver = {name.removeprefix("silver.") for name in read if name.startswith("silver.")} - {
        "runs",
        "rejects",
        "coins",
    }
    assert {f"{table}/_delta_log/" for table in silver} <= told
    assert told <= {f"{table.folder}/_delta_log/" for table in catalog.layer("silver")}


def test_every_variable_that_a_function_is_given_is_a_setting(full_plan: dict[str, Any]) -> None:
    settings = {setting.variable for setting in SETTINGS.values()} | {"COINLAKE_DEADLINE_S"}
    for function in resources(full_plan, "google_cloudfunctions2_function").values():
        given = function["service_config"][0]
        names = {*given["environment_variables"], *(each["key"] for each in given["secret_environment_variables"])}
        assert names - settings == {"GOOGLE_CLOUD_PROJECT"}


def test_the_plans_to_choose_from_are_those_there_are() -> None:
    listed = re.search(r'contains\(\["keyless"(.*?)\]', (INFRA / "variables.tf").read_text())
    assert listed and {"keyless", *re.findall(r'"(\w+)"', listed[1])} == set(PLANS)


# What it does ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_after_an_apply_a_plan_is_empty_a_new_bundle_deploys_and_destroy_leaves_the_data(
    environ: dict[str, str], tmp_path: Path, chosen: dict[str, Any]
) -> None:
    root = Root.copied(tmp_path, environ)
    (root.folder / "chosen.auto.tfvars.json").write_text(json.dumps({**PROJECT, **chosen}))
    root("apply", "-auto-approve", "-input=false")
    assert root("plan", "-detailed-exitcode", "-input=false", fails=True).returncode == 0
    applied = resources({"planned_values": json.loads(root("show", "-json").stdout)["values"]})
    for layer in LAYERS:
        assert applied[f'google_storage_bucket.layer["{layer}"]']["deletion_policy"] == "ABANDON"
    (tmp_path / "dist" / "coinlake-functions.zip").write_bytes(b"another bundle")
    assert _changed(root.plan(**chosen)) >= {f'google_cloudfunctions2_function.step["{layer}"]' for layer in LAYERS}
    root("destroy", "-auto-approve", "-input=false")
    assert root("state", "list").stdout == ""


def _changed(plan: Mapping[str, Any]) -> set[str]:
    return {each["address"] for each in plan["resource_changes"] if each["change"]["actions"] != ["no-op"]}


def test_checkov_finds_nothing_but_exceptions_with_a_reason() -> None:
    if not CHECKOV.is_file():
        pytest.skip("checkov is absent: make infra-check brings it")
    words = [CHECKOV, "-d", INFRA, "--framework", "terraform", "--skip-download", "--output", "json", "--quiet"]
    told = json.loads(subprocess.run([*map(str, words)], capture_output=True, text=True).stdout)
    assert [f"{each['check_id']} {each['resource']}" for each in told["results"]["failed_checks"]] == []
    assert told["summary"]["passed"] > 30
    assert told["results"].get("parsing_errors", []) == [], "a file that checkov cannot read is not looked at"
    assert told["summary"]["parsing_errors"] == 0
    asked = re.findall(r"checkov:skip=(\w+)(:\S.{20,})?", "".join(each.read_text() for each in INFRA.rglob("*.tf")))
    assert [check for check, reason in asked if not reason] == []
    assert told["summary"]["skipped"] == len(asked), "an exception that excuses nothing"
