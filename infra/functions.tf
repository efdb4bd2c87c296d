# The three steps. One bundle holds all of them; GOOGLE_FUNCTION_SOURCE, which the buildpack checks and hands on to
# functions-framework, says which main.py is whose.

locals {
  # The layers' roots that a function is told of, how long a request may take, and when it begins to end by itself.
  # Bronze may be called from outside (by whoever may invoke it); the others only from within Google Cloud.
  functions = {
    bronze = {
      name        = "bronze-ingest-func"
      entry_point = "bronze_ingest"
      prose       = "Fetches what is missing from CoinGecko into bronze"
      layers      = ["bronze", "silver"]
      timeout_s   = 1800 # Scheduler waits no longer
      deadline_s  = 1740
      memory      = var.functions.bronze.memory
      instances   = 1 # one pace and one budget with CoinGecko
      ingress     = "ALLOW_ALL"
      environment = merge({ COINLAKE_TOP = tostring(var.top) }, var.rate == null ? {} : { COINLAKE_RATE = tostring(var.rate) })
    }
    silver = {
      name        = "silver-process-func"
      entry_point = "silver_process"
      prose       = "Cleans what landed in bronze into silver"
      layers      = ["bronze", "silver"]
      timeout_s   = var.delivery.ack_deadline_s
      deadline_s  = var.delivery.work_deadline_s
      memory      = var.functions.silver.memory
      instances   = var.functions.silver.max_instances
      ingress     = "ALLOW_INTERNAL_ONLY"
      environment = {}
    }
    gold = {
      name        = "gold-analyze-func"
      entry_point = "gold_analyze"
      prose       = "Brings gold up to what silver holds"
      layers      = ["bronze", "silver", "gold"] # of bronze only _runs/
      timeout_s   = var.delivery.ack_deadline_s
      deadline_s  = var.delivery.work_deadline_s
      memory      = var.functions.gold.memory
      instances   = var.functions.gold.max_instances
      ingress     = "ALLOW_INTERNAL_ONLY"
      environment = {}
    }
  }

  roots = { for layer, bucket in google_storage_bucket.layer : layer => "gs://${bucket.name}" }
  plan  = coalesce(var.plan, var.api_key_version == null ? "keyless" : "demo")
}

resource "google_cloudfunctions2_function" "step" {
  #checkov:skip=CKV_GCP_124:Bronze takes calls from outside so that gcloud functions call works; only who has run.invoker gets an answer
  for_each = local.functions

  project     = var.project_id
  location    = var.region
  name        = each.value.name
  description = each.value.prose
  labels      = { layer = each.key }

  build_config {
    runtime           = "python313"
    entry_point       = each.value.entry_point
    service_account   = google_service_account.job["builder"].id
    docker_repository = google_artifact_registry_repository.images.id

    environment_variables = {
      GOOGLE_FUNCTION_SOURCE = "src/cloud_functions/${each.key}/main.py"
    }

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.bundle.name
      }
    }
  }

  service_config {
    service_account_email            = local.email[each.key]
    available_cpu                    = "1"
    available_memory                 = each.value.memory
    timeout_seconds                  = each.value.timeout_s
    min_instance_count               = 0
    max_instance_count               = each.value.instances
    max_instance_request_concurrency = 1 # after a timeout the instance goes on working
    ingress_settings                 = each.value.ingress
    all_traffic_on_latest_revision   = true

    environment_variables = merge(
      { for layer in each.value.layers : "COINLAKE_${upper(layer)}" => local.roots[layer] },
      {
        COINLAKE_DEADLINE_S  = tostring(each.value.deadline_s)
        COINLAKE_LOG         = "json"
        COINLAKE_PLAN        = local.plan
        GOOGLE_CLOUD_PROJECT = var.project_id
      },
      each.value.environment,
    )

    dynamic "secret_environment_variables" {
      for_each = each.key == "bronze" ? var.api_key_version[*] : []
      content {
        key        = "COINLAKE_API_KEY"
        project_id = var.project_id
        secret     = google_secret_manager_secret.api_key.secret_id
        version    = secret_environment_variables.value
      }
    }
  }

  depends_on = [time_sleep.roles]
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:A key of one's own is a choice (kms_key); by default Google's keys encrypt
  project       = var.project_id
  location      = var.region
  repository_id = var.prefix
  description   = "Images that the functions are built into"
  format        = "DOCKER"
  kms_key_name  = var.kms_key

  # Half a gigabyte is free: of each function the image of now and the one before, and no more.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 2
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "604800s"
    }
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}
