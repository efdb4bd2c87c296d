# What is off by default, and what it does when it is turned on.

mock_provider "google" {}
mock_provider "time" {}

variables {
  project_id     = "a-project"
  project_number = "210987654321"
}

run "what_is_optional_is_off" {
  command = plan

  assert {
    condition = (
      length(google_cloud_run_v2_service.dashboard) == 0 &&
      length(google_bigquery_table.external) == 0 &&
      length(google_kms_crypto_key_iam_member.agent) == 0 &&
      length(google_org_policy_policy.locations) == 0 &&
      length(google_project_iam_audit_config.data) == 0 &&
      length(google_billing_budget.month) == 0
    )
    error_message = "Nothing optional is made unasked."
  }
}

run "bronze_need_not_move_to_cheaper_storage" {
  command = plan

  variables {
    keep = { bronze = { nearline = 0, coldline = 0 } }
  }

  assert {
    condition     = length([for rule in google_storage_bucket.layer["bronze"].lifecycle_rule : rule if one(rule.action).type == "SetStorageClass"]) == 0
    error_message = "0 is never."
  }
}

run "bronze_may_move_to_coldline_only" {
  command = plan

  variables {
    keep = { bronze = { nearline = 0 } }
  }

  assert {
    condition     = [for rule in google_storage_bucket.layer["bronze"].lifecycle_rule : one(rule.action).storage_class if one(rule.action).type == "SetStorageClass"] == ["COLDLINE"]
    error_message = "0 is never, and says nothing of the other."
  }
}

run "a_short_deadline_and_another_prefix" {
  command = plan

  variables {
    prefix   = "mylake"
    delivery = { ack_deadline_s = 10, work_deadline_s = 5 }
  }

  assert {
    condition     = google_cloud_scheduler_job.call["gold-look"].attempt_deadline == "15s"
    error_message = "Scheduler waits 15 seconds at least."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.event_died.documentation[0].content, "`coinlake replay-dead-letters --subscription mylake-dead-letter`")
    error_message = "Whoever is told of a dead event is told where it lies."
  }
}

run "what_is_optional_can_be_on" {
  command = apply

  variables {
    alert_email     = "someone@example.com"
    budget          = { billing_account = "01AB23-45CD67-89EF01" }
    api_key_version = "3"
    schedule        = { snapshots = "20 * * * *" }
    own_sources     = ["kraken"]
    dashboard = {
      image   = "australia-southeast1-docker.pkg.dev/a-project/coinlake/dashboard:1"
      viewers = ["user:someone@example.com"]
    }
    bigquery          = { silver = ["prices"], gold = ["daily", "market_summary"] }
    kms_key           = "projects/a-project/locations/australia-southeast1/keyRings/lake/cryptoKeys/lake"
    delete_data       = true
    allowed_locations = ["in:australia-locations"]
    audit_logs        = true
  }

  assert {
    condition = (
      google_cloudfunctions2_function.step["bronze"].service_config[0].secret_environment_variables[0].version == "3" &&
      google_cloudfunctions2_function.step["bronze"].service_config[0].environment_variables.COINLAKE_PLAN == "demo" &&
      length(google_cloudfunctions2_function.step["silver"].service_config[0].secret_environment_variables) == 0 &&
      length(google_cloudfunctions2_function.step["gold"].service_config[0].secret_environment_variables) == 0
    )
    error_message = "The key goes to bronze only."
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.api_key[0].member == local.account.bronze
    error_message = "Only bronze may read the secret."
  }

  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.call["bronze-snapshot"].http_target[0].body)).datasets == "markets,global"
    error_message = "A snapshot fetches no histories."
  }

  assert {
    condition     = google_storage_notification.event["silver:kraken/"].bucket == google_storage_bucket.layer["bronze"].name
    error_message = "An import of a named source is cleaned at once."
  }

  assert {
    condition     = google_cloud_run_v2_service.dashboard["center"].iap_enabled && google_cloud_run_v2_service.dashboard["center"].location == "australia-southeast1"
    error_message = "Nobody gets through but by IAP."
  }

  assert {
    condition = (
      google_storage_bucket_iam_member.dashboard["center"].bucket == google_storage_bucket.layer["gold"].name &&
      google_storage_bucket_iam_member.dashboard["center"].role == "roles/storage.objectViewer"
    )
    error_message = "The dashboard reads gold, and gold only."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.iap["center"].member == "serviceAccount:service-210987654321@gcp-sa-iap.iam.gserviceaccount.com"
    error_message = "Only IAP invokes the dashboard."
  }

  assert {
    condition = alltrue([
      for table in google_bigquery_table.external :
      table.external_data_configuration[0].source_format == "DELTA_LAKE" && !strcontains(table.external_data_configuration[0].source_uris[0], "*")
    ])
    error_message = "Over bare files BigQuery would count replaced rows."
  }

  assert {
    condition     = google_bigquery_table.external["gold.daily"].external_data_configuration[0].source_uris[0] == "gs://coinlake-gold-a-project/daily"
    error_message = "A table is the folder of its name."
  }

  assert {
    condition     = alltrue([for dataset in google_bigquery_dataset.layer : dataset.location == "australia-southeast1"])
    error_message = "BigQuery's data sets lie in the region."
  }

  assert {
    condition = (
      alltrue([for bucket in google_storage_bucket.layer : bucket.encryption[0].default_kms_key_name == var.kms_key]) &&
      alltrue([for topic in google_pubsub_topic.event : topic.kms_key_name == var.kms_key]) &&
      google_secret_manager_secret.api_key.replication[0].user_managed[0].replicas[0].customer_managed_encryption[0].kms_key_name == var.kms_key
    )
    error_message = "Buckets, topics and the secret use the key."
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.layer : bucket.deletion_policy == "DELETE" && bucket.force_destroy])
    error_message = "Told to, destroy deletes data."
  }

  assert {
    condition     = google_org_policy_policy.locations[0].spec[0].rules[0].values[0].allowed_values == tolist(["in:australia-locations"])
    error_message = "New resources lie in Australia."
  }

  assert {
    condition     = keys(google_project_iam_audit_config.data) == ["secretmanager.googleapis.com", "storage.googleapis.com"]
    error_message = "Reads and writes of data and secrets are logged."
  }

  assert {
    condition     = google_monitoring_alert_policy.gold_is_old.conditions[0].condition_threshold[0].threshold_value == 26
    error_message = "Gold older than 26 hours is told."
  }

  assert {
    condition = (
      google_monitoring_alert_policy.event_died.conditions[0].condition_threshold[0].threshold_value == 0 &&
      strcontains(google_monitoring_alert_policy.event_died.conditions[0].condition_threshold[0].filter, google_pubsub_subscription.dead.name)
    )
    error_message = "Anything in the dead letter is told."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.fetch_failed.conditions[0].condition_matched_log[0].filter, "bronze-ingest-func")
    error_message = "A failed bronze run is told."
  }

  assert {
    condition     = length(google_monitoring_notification_channel.email) == 1 && length(google_billing_budget.month) == 1
    error_message = "There is an address to tell it to, and a budget."
  }
}
