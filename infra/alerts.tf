# Who is told when something is wrong: gold has grown old, an event has died, a fetch has failed, money is spent.

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == null ? 0 : 1

  project      = var.project_id
  display_name = "${var.prefix}: mail"
  type         = "email"
  labels       = { email_address = var.alert_email }

  depends_on = [time_sleep.services]
}

locals {
  channels = google_monitoring_notification_channel.email[*].id
  ours     = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name="
}

# A metric that is missing can be noticed for 23.5 hours at the most. So gold looks at itself every hour and logs its
# age, and the age is what counts.
resource "google_logging_metric" "gold_age" {
  project         = var.project_id
  name            = "${var.prefix}/gold-age-hours"
  description     = "Hours since the last day that gold knows ended, by gold's own hourly look"
  filter          = "${local.ours}\"${local.functions.gold.name}\" AND jsonPayload.gold_age_hours>=0"
  value_extractor = "EXTRACT(jsonPayload.gold_age_hours)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "h"
  }

  bucket_options {
    explicit_buckets {
      bounds = [1, 2, 6, 12, 24, 25, 26, 27, 28, 30, 36, 48, 72, 168]
    }
  }

  depends_on = [time_sleep.services]
}

# Monitoring knows a new metric late: until then it answers a policy on it with 404, "could take up to 10 minutes". Mostly
# it is a few seconds to a minute; two cost nothing, because the functions are built meanwhile and take longer.
resource "time_sleep" "metric" {
  create_duration = "120s"
  triggers        = { metric = google_logging_metric.gold_age.id }
}

resource "google_monitoring_alert_policy" "gold_is_old" {
  project               = var.project_id
  display_name          = "${var.prefix}: gold is old"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "Gold is older than 26 hours"
    condition_threshold {
      filter          = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.gold_age.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 26
      duration        = "0s"
      aggregations {
        alignment_period     = "3600s"
        per_series_aligner   = "ALIGN_PERCENTILE_99"
        cross_series_reducer = "REDUCE_MAX"
      }
    }
  }

  conditions {
    display_name = "Nobody has looked for 6 hours"
    condition_absent {
      filter   = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.gold_age.name}\""
      duration = "21600s"
      aggregations {
        alignment_period     = "3600s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "The last finished day in gold ended more than 26 hours ago, or the hourly look is not made. Look at the last runs: docs/deploy.md, When something is wrong."
  }

  depends_on = [time_sleep.metric]
}

resource "google_monitoring_alert_policy" "event_died" {
  project               = var.project_id
  display_name          = "${var.prefix}: an event has died"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "Something lies in the dead letter"
    condition_threshold {
      filter          = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead.name}\" AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "An event could not be processed ${var.delivery.max_attempts} times. Mend the cause, then `coinlake replay-dead-letters --subscription ${google_pubsub_subscription.dead.name}`: docs/deploy.md, When something is wrong."
  }
}

resource "google_monitoring_alert_policy" "fetch_failed" {
  project               = var.project_id
  display_name          = "${var.prefix}: a bronze run has failed"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "Bronze logged an error, or Scheduler could not call it"
    condition_matched_log {
      filter = "severity>=ERROR AND ((${local.ours}\"${local.functions.bronze.name}\") OR (resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=~\"^${var.prefix}-\"))"
    }
  }

  alert_strategy {
    auto_close = "86400s"
    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "What was fetched is kept, and the next run goes on from there. Who must act is in the log line: docs/deploy.md, When something is wrong."
  }

  depends_on = [time_sleep.services]
}

resource "google_billing_budget" "month" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "${var.prefix}: month"

  budget_filter {
    projects = ["projects/${var.project_number}"]
  }

  amount {
    specified_amount {
      units = tostring(var.budget.amount)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }

  dynamic "all_updates_rule" {
    for_each = length(local.channels) == 0 ? [] : [local.channels]
    content {
      monitoring_notification_channels = all_updates_rule.value
    }
  }

  depends_on = [time_sleep.services]
}
