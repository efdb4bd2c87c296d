# Optional: the Strategy Command Center, behind Google's sign-in. It sees gold and nothing else.

locals {
  dashboard       = var.dashboard == null ? {} : { center = var.dashboard }
  dashboard_email = { for name, account in google_service_account.dashboard : name => "${account.account_id}@${account.project}.iam.gserviceaccount.com" }
}

resource "google_service_account" "dashboard" {
  for_each = local.dashboard

  project      = var.project_id
  account_id   = "${var.prefix}-dashboard"
  display_name = "Shows gold"

  depends_on = [time_sleep.services]
}

resource "google_storage_bucket_iam_member" "dashboard" {
  for_each = local.dashboard

  bucket = google_storage_bucket.layer["gold"].name
  role   = local.may_read
  member = "serviceAccount:${local.dashboard_email[each.key]}"
}

resource "google_cloud_run_v2_service" "dashboard" {
  for_each = local.dashboard

  project             = var.project_id
  location            = var.region
  name                = "${var.prefix}-dashboard"
  ingress             = "INGRESS_TRAFFIC_ALL" # who gets through is IAP's to say
  iap_enabled         = true
  deletion_protection = false # it holds nothing

  template {
    service_account                  = local.dashboard_email[each.key]
    session_affinity                 = true # a Streamlit session lives in one instance
    timeout                          = "3600s"
    max_instance_request_concurrency = 20

    scaling {
      min_instance_count = 0
      max_instance_count = 1
    }

    containers {
      image = each.value.image

      ports {
        container_port = 8501
      }

      env {
        name  = "COINLAKE_GOLD"
        value = local.roots.gold
      }

      resources {
        cpu_idle          = true
        startup_cpu_boost = true
        limits            = { cpu = "1", memory = each.value.memory }
      }

      startup_probe {
        period_seconds    = 5
        failure_threshold = 24
        http_get {
          path = "/_stcore/health"
          port = 8501
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.dashboard]
}

resource "google_cloud_run_v2_service_iam_member" "iap" {
  for_each = local.dashboard

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.dashboard[each.key].name
  role     = "roles/run.invoker"
  member   = local.agents.iap
}

resource "google_iap_web_cloud_run_service_iam_member" "viewer" {
  for_each = toset(try(var.dashboard.viewers, []))

  project                = var.project_id
  location               = var.region
  cloud_run_service_name = google_cloud_run_v2_service.dashboard["center"].name
  role                   = "roles/iap.httpsResourceAccessor"
  member                 = each.key
}
