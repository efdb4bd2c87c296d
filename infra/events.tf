# How one step sets off the next: a bucket tells a topic of new objects below a prefix, and the topic's subscription
# pushes to the function. The transport is our own, because a trigger of Eventarc's has no dead letter, no deadline and
# no prefix (docs/adr/0008-own-transport.md).
#
# Nothing sets itself off: silver is told of bronze only, gold of silver only, and of commits only below the folders of
# tables that gold is made of. _runs/ in bronze, runs/ and rejects/ in silver set off nothing.

locals {
  sources = sort(concat(["coingecko/"], [for source in var.own_sources : "${source}/"]))
  tables  = ["candles", "global_market", "markets", "prices"]

  # By the function that is set off: the layer that does it, and the prefixes that count.
  events = {
    silver = { layer = "bronze", topic = "bronze-landed", prefixes = local.sources }
    gold   = { layer = "silver", topic = "silver-committed", prefixes = [for table in local.tables : "${table}/_delta_log/"] }
  }

  notifications = merge([
    for function, event in local.events : {
      for prefix in event.prefixes : "${function}:${prefix}" => { function = function, layer = event.layer, prefix = prefix }
    }
  ]...)

  # Full names, put together from what a plan knows, so that a plan shows what leads where.
  topic      = { for function, topic in google_pubsub_topic.event : function => "projects/${topic.project}/topics/${topic.name}" }
  topic_dead = "projects/${google_pubsub_topic.dead.project}/topics/${google_pubsub_topic.dead.name}"

  day_s = 86400
}

resource "google_pubsub_topic" "event" {
  #checkov:skip=CKV_GCP_83:A key of one's own is a choice (kms_key); by default Google's keys encrypt
  for_each = local.events

  project      = var.project_id
  name         = "${var.prefix}-${each.value.topic}"
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

resource "google_pubsub_topic_iam_member" "storage" {
  for_each = google_pubsub_topic.event

  project = var.project_id
  topic   = each.value.name
  role    = "roles/pubsub.publisher"
  member  = local.agents.storage

  depends_on = [data.google_storage_project_service_account.awake]
}

resource "google_storage_notification" "event" {
  for_each = local.notifications

  bucket             = google_storage_bucket.layer[each.value.layer].name
  topic              = local.topic[each.value.function]
  object_name_prefix = each.value.prefix
  event_types        = ["OBJECT_FINALIZE"]
  payload_format     = "JSON_API_V1"

  # The first notification asks whether it may publish; and it must find somebody who listens.
  depends_on = [google_pubsub_topic_iam_member.storage, google_pubsub_subscription.event]
}

resource "google_pubsub_subscription" "event" {
  for_each = local.events

  project                    = var.project_id
  name                       = "${var.prefix}-${each.value.topic}"
  topic                      = local.topic[each.key]
  ack_deadline_seconds       = var.delivery.ack_deadline_s
  message_retention_duration = "${var.delivery.keep_days * local.day_s}s"

  expiration_policy {
    ttl = "" # never: a month without events must not end the platform
  }

  push_config {
    push_endpoint = google_cloudfunctions2_function.step[each.key].service_config[0].uri

    oidc_token {
      service_account_email = local.email["pusher"]
      audience              = google_cloudfunctions2_function.step[each.key].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "${var.delivery.min_backoff_s}s"
    maximum_backoff = "${var.delivery.max_backoff_s}s"
  }

  dead_letter_policy {
    dead_letter_topic     = local.topic_dead
    max_delivery_attempts = var.delivery.max_attempts
  }

  depends_on = [google_cloud_run_v2_service_iam_member.pusher, google_service_account_iam_member.pusher]
}

# What died -------------------------------------------------------------------------------------------------------

resource "google_pubsub_topic" "dead" {
  #checkov:skip=CKV_GCP_83:A key of one's own is a choice (kms_key); by default Google's keys encrypt
  project      = var.project_id
  name         = "${var.prefix}-dead-letter"
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

# A topic without a subscription keeps nothing. This one keeps, until `coinlake replay-dead-letters` takes it back.
resource "google_pubsub_subscription" "dead" {
  project                    = var.project_id
  name                       = "${var.prefix}-dead-letter"
  topic                      = local.topic_dead
  ack_deadline_seconds       = 600
  message_retention_duration = "${var.delivery.keep_dead_days * local.day_s}s"

  expiration_policy {
    ttl = ""
  }
}

# It is Pub/Sub itself that moves a dead event: it publishes the copy and acknowledges the original.
resource "google_pubsub_topic_iam_member" "dead" {
  project = var.project_id
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = local.agents.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead" {
  for_each = google_pubsub_subscription.event

  project      = var.project_id
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.agents.pubsub
}
