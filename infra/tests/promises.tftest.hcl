# What this root promises, whoever changes it. The providers are mocked: nothing is asked, and no bundle is needed.

mock_provider "google" {}
mock_provider "time" {}

variables {
  project_id     = "a-project"
  project_number = "210987654321"
  region         = "australia-southeast1"
}

# Everything is made once, by the first; what follows looks at it.
run "the_functions_keep_their_names_and_run_without_a_key" {
  command = apply

  assert {
    condition = { for layer, function in google_cloudfunctions2_function.step : function.name => function.build_config[0].entry_point } == {
      bronze-ingest-func  = "bronze_ingest"
      silver-process-func = "silver_process"
      gold-analyze-func   = "gold_analyze"
    }
    error_message = "People call the functions by these names."
  }

  assert {
    condition = alltrue([
      for layer, function in google_cloudfunctions2_function.step :
      function.build_config[0].environment_variables.GOOGLE_FUNCTION_SOURCE == "src/cloud_functions/${layer}/main.py"
    ])
    error_message = "Each function is started from its own main.py."
  }

  assert {
    condition     = length(distinct([for function in google_cloudfunctions2_function.step : function.service_config[0].service_account_email])) == 3
    error_message = "No two functions share an account."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.step : function.build_config[0].service_account == google_service_account.job["builder"].id])
    error_message = "Functions are built by the builder, not by the Compute default account."
  }

  assert {
    condition = { for layer, function in google_cloudfunctions2_function.step : layer => function.service_config[0].ingress_settings } == {
      bronze = "ALLOW_ALL", silver = "ALLOW_INTERNAL_ONLY", gold = "ALLOW_INTERNAL_ONLY"
    }
    error_message = "gcloud functions call reaches bronze; silver and gold are reached by events."
  }

  assert {
    condition = (
      length(google_secret_manager_secret_iam_member.api_key) == 0 &&
      alltrue([for function in google_cloudfunctions2_function.step : length(function.service_config[0].secret_environment_variables) == 0]) &&
      alltrue([for function in google_cloudfunctions2_function.step : function.service_config[0].environment_variables.COINLAKE_PLAN == "keyless"])
    )
    error_message = "A reference to a version that is not there would keep bronze from starting."
  }
}

run "no_bucket_is_public" {
  command = plan

  assert {
    condition = alltrue([
      for bucket in concat(values(google_storage_bucket.layer), [google_storage_bucket.source]) :
      bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access
    ])
    error_message = "Every bucket prevents public access and has no access lists."
  }

  assert {
    condition = alltrue([
      for grant in concat(values(google_storage_bucket_iam_member.granted), [google_storage_bucket_iam_member.builder]) :
      !contains(["allUsers", "allAuthenticatedUsers"], grant.member)
    ])
    error_message = "Nothing is granted to everybody."
  }
}

run "no_principal_has_an_admin_role_on_a_bucket" {
  command = plan

  assert {
    condition = alltrue([
      for grant in concat(values(google_storage_bucket_iam_member.granted), [google_storage_bucket_iam_member.builder]) :
      contains(["roles/storage.objectCreator", "roles/storage.objectViewer", "roles/storage.objectUser"], grant.role)
    ])
    error_message = "On buckets there are three roles: to create, to read, to read and write. None administers."
  }

  assert {
    condition = alltrue([
      for grant in google_project_iam_member.builder :
      contains(["roles/logging.logWriter", "roles/storage.objectViewer"], grant.role)
    ])
    error_message = "On the project the builder writes logs and reads the functions' sources; nobody else has anything."
  }

  assert {
    condition = sort([for grant in google_storage_bucket_iam_member.granted : grant.bucket if grant.role == "roles/storage.objectUser"]) == sort([
      google_storage_bucket.layer["silver"].name, google_storage_bucket.layer["gold"].name,
    ])
    error_message = "objectUser can delete: silver has it on silver, gold on gold, and nobody on bronze."
  }

  assert {
    condition = alltrue([
      for grant in google_storage_bucket_iam_member.granted :
      grant.member == local.account.bronze || grant.role != "roles/storage.objectCreator" ||
      endswith(try(grant.condition[0].expression, ""), "/objects/_runs/\")")
    ])
    error_message = "Besides the bronze account, others create in bronze only the records of their runs."
  }
}

run "what_a_function_writes_never_triggers_itself" {
  command = plan

  # Whoever is pushed to must not be able to write where the event comes from, below the prefix that sets it off.
  assert {
    condition = alltrue(flatten([
      for event in google_storage_notification.event : [
        for function in keys(local.events) : [
          for grant in google_storage_bucket_iam_member.granted :
          length(grant.condition) > 0 && !startswith(event.object_name_prefix, "_runs/") && !startswith("_runs/", event.object_name_prefix)
          if grant.bucket == event.bucket && grant.role != "roles/storage.objectViewer" && grant.member == local.account[function]
        ] if local.topic[function] == event.topic
      ]
    ]))
    error_message = "A function can write what sets it off: it would never end."
  }

  assert {
    condition     = alltrue([for event in google_storage_notification.event : length(event.object_name_prefix) > 1])
    error_message = "A notification without a prefix tells of everything."
  }

  assert {
    condition = alltrue([
      for event in google_storage_notification.event :
      endswith(event.object_name_prefix, "/_delta_log/") && !can(regex("^(runs|rejects)/", event.object_name_prefix))
      if event.bucket == google_storage_bucket.layer["silver"].name
    ])
    error_message = "Gold is set off by commits of the tables it is made of."
  }

  assert {
    condition = [
      for event in google_storage_notification.event : event.object_name_prefix
      if event.bucket == google_storage_bucket.layer["bronze"].name
    ] == ["coingecko/"]
    error_message = "Silver is set off by CoinGecko's answers; _runs/ sets off nothing."
  }

  assert {
    condition     = alltrue([for event in google_storage_notification.event : event.event_types == toset(["OBJECT_FINALIZE"]) && event.payload_format == "JSON_API_V1"])
    error_message = "Functions read the object's own resource, of objects that are whole."
  }

  assert {
    condition     = !contains([for event in google_storage_notification.event : event.bucket], google_storage_bucket.layer["gold"].name)
    error_message = "Gold sets off nothing."
  }

  assert {
    condition     = alltrue([for layer in ["bronze", "silver"] : length([for event in google_storage_notification.event : event if event.bucket == google_storage_bucket.layer[layer].name]) <= 10])
    error_message = "Cloud Storage allows 10 notifications of one event type on a bucket."
  }
}

run "everything_lies_in_the_region" {
  command = plan

  assert {
    condition = alltrue([
      for place in concat(
        [for bucket in google_storage_bucket.layer : bucket.location],
        [for function in google_cloudfunctions2_function.step : function.location],
        [for job in google_cloud_scheduler_job.call : job.region],
        [for replica in google_secret_manager_secret.api_key.replication[0].user_managed[0].replicas : replica.location],
        [google_storage_bucket.source.location, google_artifact_registry_repository.images.location],
      ) : lower(place) == "australia-southeast1"
    ])
    error_message = "Buckets, functions, schedules, the secret and images lie in the region."
  }

  assert {
    condition = alltrue([
      for event in google_storage_notification.event :
      contains(values(local.topic), event.topic)
    ])
    error_message = "A notification goes to a topic of ours."
  }

  assert {
    condition = alltrue([
      for topic in concat(values(google_pubsub_topic.event), [google_pubsub_topic.dead]) :
      topic.message_storage_policy[0].allowed_persistence_regions == toset([var.region])
    ])
    error_message = "Messages are kept in the region, dead ones too."
  }
}

run "an_event_is_tried_again_and_then_kept" {
  command = plan

  assert {
    condition = alltrue([
      for subscription in google_pubsub_subscription.event :
      try(subscription.dead_letter_policy[0].dead_letter_topic, "none") == local.topic_dead &&
      try(subscription.dead_letter_policy[0].max_delivery_attempts, 0) >= 5 &&
      subscription.retry_policy[0].minimum_backoff == "10s" &&
      subscription.ack_deadline_seconds == 600
    ])
    error_message = "Every subscription that pushes retries with waits, and has a dead letter."
  }

  assert {
    condition = (
      google_pubsub_subscription.dead.topic == local.topic_dead &&
      length(google_pubsub_subscription.dead.push_config) == 0 &&
      google_pubsub_subscription.dead.message_retention_duration == "2678400s"
    )
    error_message = "What died is kept by a subscription of its own, for 31 days."
  }

  assert {
    condition = (
      google_pubsub_topic_iam_member.dead.member == local.agents.pubsub &&
      keys(google_pubsub_subscription_iam_member.dead) == keys(local.events) &&
      alltrue([for grant in google_pubsub_subscription_iam_member.dead : grant.member == local.agents.pubsub && grant.role == "roles/pubsub.subscriber"])
    )
    error_message = "Pub/Sub itself may move what died."
  }

  assert {
    condition = (
      keys(google_pubsub_topic_iam_member.storage) == keys(local.events) &&
      alltrue([for grant in google_pubsub_topic_iam_member.storage : grant.member == local.agents.storage && grant.role == "roles/pubsub.publisher"])
    )
    error_message = "Cloud Storage may publish to each topic."
  }

  assert {
    condition = alltrue([
      for subscription in concat(values(google_pubsub_subscription.event), [google_pubsub_subscription.dead]) :
      subscription.expiration_policy[0].ttl == ""
    ])
    error_message = "No subscription expires."
  }
}

run "a_call_proves_who_it_is_and_ends_in_time" {
  command = plan

  assert {
    condition = alltrue([
      for layer, subscription in google_pubsub_subscription.event :
      subscription.push_config[0].push_endpoint == google_cloudfunctions2_function.step[layer].service_config[0].uri &&
      subscription.push_config[0].oidc_token[0].audience == google_cloudfunctions2_function.step[layer].service_config[0].uri &&
      subscription.push_config[0].oidc_token[0].service_account_email == local.email["pusher"]
    ])
    error_message = "Events are pushed to the function's own address in the pusher's name."
  }

  assert {
    condition     = keys(google_cloud_run_v2_service_iam_member.pusher) == ["gold", "silver"]
    error_message = "The pusher may call silver and gold."
  }

  assert {
    condition = (
      google_cloud_scheduler_job.call["bronze-first"].schedule == "45 0 * * *" &&
      google_cloud_scheduler_job.call["bronze-again"].schedule == "45 1 * * *" &&
      alltrue([for job in google_cloud_scheduler_job.call : job.time_zone == "Etc/UTC"])
    )
    error_message = "The day that ended is fetched at 00:45 and 01:45 UTC."
  }

  assert {
    condition = alltrue([
      for job in google_cloud_scheduler_job.call :
      length(job.http_target[0].oidc_token) == 1 && length(job.http_target[0].oauth_token) == 0
    ])
    error_message = "Scheduler comes with an identity token."
  }

  assert {
    condition = alltrue([
      for call, job in google_cloud_scheduler_job.call :
      job.http_target[0].uri == google_cloudfunctions2_function.step[local.calls[call].function].service_config[0].uri &&
      job.http_target[0].oidc_token[0].audience == google_cloudfunctions2_function.step[local.calls[call].function].service_config[0].uri &&
      job.http_target[0].oidc_token[0].service_account_email == local.email["scheduler"]
    ])
    error_message = "Scheduler's token is for the function that it calls."
  }

  assert {
    condition = { for call, job in google_cloud_scheduler_job.call : call => base64decode(job.http_target[0].body) } == {
      bronze-first = "{}", bronze-again = "{}", gold-look = "{\"look\":true}"
    }
    error_message = "Bronze is called for all there is; gold is asked to look at itself."
  }

  assert {
    condition     = google_cloud_scheduler_job.call["bronze-first"].attempt_deadline == "1800s"
    error_message = "Scheduler waits as long as bronze may take."
  }

  assert {
    condition     = !contains(keys(google_cloud_scheduler_job.call), "bronze-snapshot")
    error_message = "Hourly snapshots are off until somebody wants them."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.step :
      tonumber(function.service_config[0].environment_variables.COINLAKE_DEADLINE_S) <= function.service_config[0].timeout_seconds - 60
    ])
    error_message = "A function stops at a boundary a minute before it is stopped."
  }

  assert {
    condition = { for layer, function in google_cloudfunctions2_function.step : layer => function.service_config[0].environment_variables.COINLAKE_DEADLINE_S } == {
      bronze = "1740", silver = "540", gold = "540"
    }
    error_message = "Bronze has 1,740 seconds, silver and gold 540."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.step : function.service_config[0].max_instance_request_concurrency == 1])
    error_message = "An instance does one thing at a time."
  }
}

run "data_outlives_mistakes_and_destroy" {
  command = plan

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.layer : bucket.deletion_policy == "ABANDON" && !bucket.force_destroy])
    error_message = "Data buckets are left, unless delete_data says otherwise."
  }

  assert {
    condition = { for layer, bucket in google_storage_bucket.layer : layer => bucket.soft_delete_policy[0].retention_duration_seconds / 86400 } == {
      bronze = 30, silver = 7, gold = 0
    }
    error_message = "Bronze cannot be made again; silver and gold can."
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.layer : bucket.versioning[0].enabled])
    error_message = "Data buckets keep versions."
  }

  assert {
    condition = [for rule in google_storage_bucket.layer["bronze"].lifecycle_rule : one(rule.action).storage_class if one(rule.action).type == "SetStorageClass"] == [
      "COLDLINE", "NEARLINE",
    ]
    error_message = "Bronze moves to cheaper storage; nothing of it is ever deleted by age."
  }

  assert {
    condition = alltrue(flatten([
      for bucket in google_storage_bucket.layer : [
        for rule in bucket.lifecycle_rule : one(rule.condition).days_since_noncurrent_time >= 1 && one(rule.condition).with_state == "ARCHIVED"
        if one(rule.action).type == "Delete"
      ]
    ]))
    error_message = "Lifecycle deletes old versions only."
  }
}

run "only_bronze_ever_sees_the_key" {
  command = plan

  variables {
    api_key_version = "1"
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.step : !contains(keys(function.service_config[0].environment_variables), "COINLAKE_API_KEY")])
    error_message = "The key is a reference to a secret, and no plain variable."
  }

  assert {
    condition     = [for layer, function in google_cloudfunctions2_function.step : layer if length(function.service_config[0].secret_environment_variables) > 0] == ["bronze"]
    error_message = "No function but bronze is given the key."
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.api_key[*].member == [local.account.bronze]
    error_message = "Nobody but bronze may read the key."
  }
}
