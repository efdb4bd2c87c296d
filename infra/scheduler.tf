# Who calls when. All times are UTC: CoinGecko's day is over at 00:00 and its last close is there by 00:35.

locals {
  calls = merge(
    { for name, cron in var.schedule.daily : "bronze-${name}" => { function = "bronze", cron = cron, body = {} } },
    { for cron in var.schedule.snapshots[*] : "bronze-snapshot" => { function = "bronze", cron = cron, body = { datasets = "markets,global" } } },
    { for cron in var.schedule.look[*] : "gold-look" => { function = "gold", cron = cron, body = { look = true } } },
  )
}

resource "google_cloud_scheduler_job" "call" {
  for_each = local.calls

  project          = var.project_id
  region           = var.region
  name             = "${var.prefix}-${each.key}"
  schedule         = each.value.cron
  time_zone        = "Etc/UTC"
  paused           = var.schedule.paused
  attempt_deadline = "${max(15, min(1800, local.functions[each.value.function].timeout_s))}s" # Scheduler allows no other

  http_target {
    uri         = google_cloudfunctions2_function.step[each.value.function].service_config[0].uri
    http_method = "POST"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode(each.value.body))

    oidc_token {
      service_account_email = local.email["scheduler"]
      audience              = google_cloudfunctions2_function.step[each.value.function].service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.scheduler]
}
